"""Mixed precision: which dtype each op computes in, gradients, the cache of weights, nesting, threads."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import wootz
from wootz import _core, amp, nn, optim
from wootz.errors import DTypeError
from wootz.nn import functional as F
from wootz.utils.checkpoint import checkpoint

LOW = wootz.bfloat16


def normal(*shape: int, seed: int = 0, grad: bool = False) -> wootz.Tensor:
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return wootz.from_numpy(values).requires_grad_(grad)


def layer() -> nn.Linear:
    made = nn.Linear(4, 3)
    made.weight.data.copy_(normal(3, 4, seed=1))
    made.bias.data.copy_(normal(3, seed=2))
    return made


def test_products_are_in_the_low_type_losses_in_float32_and_the_rest_as_it_comes() -> None:
    x, w = normal(2, 4), normal(4, 3, seed=1)
    with wootz.autocast("cpu"):
        assert (x @ w).dtype == LOW
        assert layer()(x).dtype == LOW
        assert F.mse_loss(layer()(x), wootz.zeros(2, 3)).dtype == wootz.float32
        assert (x + 1).dtype == wootz.float32
        assert (x @ w + x.sum(1, keepdim=True)).dtype == wootz.float32
        assert (x.double() @ w.double()).dtype == wootz.float64
    assert (x @ w).dtype == wootz.float32


def test_values_are_those_of_inputs_cast_by_hand() -> None:
    x, w = normal(2, 4), normal(4, 3, seed=1)
    with wootz.autocast("cpu", wootz.float16):
        found = x @ w
    assert found.dtype == wootz.float16
    np.testing.assert_array_equal(found.float().numpy(), (x.half() @ w.half()).float().numpy())


def test_gradients_come_in_the_parameters_own_dtype() -> None:
    model, x = layer(), normal(2, 4)
    with wootz.autocast("cpu"):
        loss = F.mse_loss(model(x), wootz.zeros(2, 3))
    loss.backward()
    weight = model.weight.grad
    assert weight is not None and weight.dtype == wootz.float32
    y = x.numpy() @ model.weight.detach().numpy().T + model.bias.detach().numpy()
    np.testing.assert_allclose(weight.numpy(), (2 / 6 * y).T @ x.numpy(), rtol=0.03, atol=0.03)


def test_a_weight_is_cast_once_until_it_changes_or_the_region_ends() -> None:
    model, x = layer(), normal(2, 4)

    def casts() -> int:
        nodes, seen = [model(x).sum().grad_fn for _ in range(3)], set()
        while nodes:
            node = nodes.pop()
            if isinstance(node, _core.Node):
                if node.name().startswith("cast") and any(parent is model.weight for parent, _ in node.next_functions):
                    seen.add(node)
                nodes += [parent for parent, _ in node.next_functions]
        return len(seen)

    with wootz.autocast("cpu"):
        assert casts() == 1
        before = model(x).detach().float().numpy()
        with wootz.no_grad():
            model.weight.mul_(2)
            model.bias.mul_(2)
        np.testing.assert_allclose(model(x).detach().float().numpy(), 2 * before)
    with wootz.autocast("cpu", cache_enabled=False):
        assert casts() == 3
        assert not wootz.is_autocast_cache_enabled()


def test_what_was_cast_without_history_is_not_used_for_training() -> None:
    model, x = layer(), normal(2, 4)
    with wootz.autocast("cpu"):
        with wootz.no_grad():
            model(x)
        model(x).sum().backward()
        model(x).sum().backward()  # and one cast serves two backward passes
    assert model.weight.grad is not None
    np.testing.assert_allclose(model.weight.grad.numpy(), np.tile(2 * x.numpy().sum(0), (3, 1)), rtol=0.02, atol=0.02)


def test_regions_nest_and_can_be_switched_off_inside() -> None:
    x = normal(2, 2)
    with wootz.autocast("cpu"):
        with wootz.autocast("cpu", enabled=False):
            assert (x @ x).dtype == wootz.float32
            with wootz.autocast("cpu", wootz.float16):
                assert (x @ x).dtype == wootz.float16
            assert not wootz.is_autocast_enabled("cpu")
        with wootz.autocast("cpu", dtype=wootz.float32):
            assert (x @ x).dtype == wootz.float32
        with wootz.autocast("cuda"):  # says nothing of tensors of the CPU
            assert (x @ x).dtype == LOW
        assert wootz.is_autocast_enabled("cpu") and wootz.get_autocast_dtype("cpu") == LOW
    assert not wootz.is_autocast_enabled("cpu")


def test_an_error_inside_leaves_nothing_behind() -> None:
    with pytest.raises(wootz.errors.ShapeError), wootz.autocast("cpu"):
        normal(2, 3) @ normal(2, 3)
    with pytest.raises(ValueError), wootz.autocast("cpu"):
        F.mse_loss(normal(2), normal(3))
    x = normal(2, 2)
    assert (x @ x).dtype == wootz.float32
    with wootz.autocast("cpu"):  # not suspended either
        assert (x @ x).dtype == LOW


def test_a_region_is_a_decorator_and_can_be_entered_twice() -> None:
    region = wootz.autocast("cpu")

    @region
    def product(x: wootz.Tensor) -> wootz.Tensor:
        with region:
            return x @ x

    assert product(normal(2, 2)).dtype == LOW
    assert product.__name__ == "product" and not wootz.is_autocast_enabled("cpu")


def test_a_region_belongs_to_its_thread() -> None:
    found: list[Any] = []
    with wootz.autocast("cpu"):
        thread = threading.Thread(target=lambda: found.append((normal(2, 2) @ normal(2, 2)).dtype))
        thread.start()
        thread.join()
    assert found == [wootz.float32]


def test_what_autocast_does_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match="'cpu' and 'cuda'"):
        wootz.autocast("tpu")
    with pytest.raises(DTypeError, match="bfloat16 or float16"):
        wootz.autocast("cpu", wootz.int8)
    with pytest.raises(TypeError, match="device's type"):
        wootz.autocast(wootz.device("cpu"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not inside autocast"):
        _core.autocast_pop()


def test_in_place_ops_keep_the_type_of_their_tensor() -> None:
    with wootz.autocast("cpu"):
        x = normal(3).to(LOW)
        x.exp_()
        assert x.dtype == LOW


def test_checkpointing_runs_again_in_the_precision_of_the_first_time() -> None:
    model, x = nn.Sequential(layer(), nn.ReLU(), nn.Linear(3, 2)), normal(2, 4, grad=True)

    def gradients(run: Any) -> list[np.ndarray]:
        model.zero_grad()
        x.grad = None
        with wootz.autocast("cpu"):
            loss = run(x).float().square().sum()
        loss.backward()
        return [t.grad.numpy() for t in (x, *model.parameters())]

    for a, b in zip(gradients(model), gradients(lambda t: checkpoint(model, t)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_scaler_and_an_optimiser_train_in_float16() -> None:
    model, x = layer(), normal(8, 4)
    y = wootz.from_numpy(x.numpy()[:, :3].copy())
    optimizer, scaler = optim.SGD(model.parameters(), lr=0.1), amp.GradScaler("cpu")
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        with wootz.autocast("cpu", wootz.float16):
            loss = F.mse_loss(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3 and all(p.dtype == wootz.float32 for p in model.parameters())


def test_vmap_and_gradients_of_functions() -> None:
    model, x = layer(), normal(5, 4)
    with wootz.autocast("cpu"):
        each = wootz.vmap(model)(x)
        together = model(x)
    assert each.dtype == LOW
    np.testing.assert_allclose(each.detach().float().numpy(), together.detach().float().numpy(), rtol=0.02, atol=0.02)

    def loss(w: wootz.Tensor, row: wootz.Tensor) -> wootz.Tensor:
        return F.linear(row, w).float().sum()

    with wootz.autocast("cpu"):
        per_example = wootz.vmap(wootz.func.grad(loss), (None, 0))(model.weight.detach(), x)
    assert per_example.dtype == wootz.float32
    expected = np.repeat(x.to(LOW).float().numpy()[:, None], 3, 1)
    np.testing.assert_array_equal(per_example.numpy(), expected)


class Product(wootz.autograd.Function):
    """Records the dtypes that it sees on both ways."""

    seen: list[Any]

    @staticmethod
    @amp.custom_fwd(device_type="cpu")
    def forward(ctx: Any, a: wootz.Tensor, b: wootz.Tensor) -> wootz.Tensor:
        ctx.save_for_backward(a, b)
        Product.seen = [(a @ b).dtype]
        return a @ b

    @staticmethod
    @amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, grad: wootz.Tensor) -> tuple[wootz.Tensor, wootz.Tensor]:
        a, b = ctx.saved_tensors
        Product.seen.append((grad.float() @ b.T).dtype)
        return grad.float() @ b.T, a.T @ grad.float()


class InFloat32(wootz.autograd.Function):
    """Casts its inputs."""

    @staticmethod
    @amp.custom_fwd(device_type="cpu", cast_inputs=wootz.float32)
    def forward(ctx: Any, a: wootz.Tensor, parts: list[wootz.Tensor]) -> wootz.Tensor:
        assert all(t.dtype == wootz.float32 for t in (a, *parts))
        return a @ parts[0]

    @staticmethod
    @amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, grad: wootz.Tensor) -> tuple[wootz.Tensor, None]:
        return grad, None


def test_functions_of_ones_own_choose_their_precision() -> None:
    a, b = normal(2, 2, grad=True), normal(2, 2, seed=1)
    with wootz.autocast("cpu"):
        out = Product.apply(a, b)
    out.float().sum().backward()
    assert Product.seen == [LOW, LOW] and out.dtype == LOW
    Product.apply(a, b).sum().backward()
    assert Product.seen == [wootz.float32, wootz.float32]
    with wootz.autocast("cpu"):
        assert InFloat32.apply((a @ b), [b.to(LOW)]).dtype == wootz.float32


def test_layers_of_running_statistics_and_states_give_the_low_type() -> None:
    x = normal(3, 2, 4)
    norm = nn.Sequential(nn.Conv1d(2, 4, 1), nn.BatchNorm1d(4))
    lstm = nn.LSTM(4, 5)
    with wootz.autocast("cpu"):
        kinds = [norm(x).dtype, norm.eval()(x).dtype, *(t.dtype for t in (lstm(x)[0], *lstm(x)[1]))]
    assert kinds == [LOW] * 5 and norm[1].running_mean.dtype == wootz.float32
    with wootz.autocast("cpu"):
        found = norm(x).detach().float().numpy()
    np.testing.assert_allclose(found, norm(x).detach().numpy(), atol=0.05)


def test_backward_inside_a_region_computes_as_outside_of_it() -> None:
    x = normal(3, 3, grad=True)
    with wootz.autocast("cpu"):
        with wootz.autocast("cpu", enabled=False):
            y = (x @ x).sum()
        y.backward()
    expected = (x.detach() + 0).requires_grad_()
    (expected @ expected).sum().backward()
    assert x.grad is not None and expected.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), expected.grad.numpy())

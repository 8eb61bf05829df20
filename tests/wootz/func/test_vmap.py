"""vmap: dimensions in and out, nesting, randomness, what is refused, and how it meets the tape."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.func import functional_call, grad, stack_module_state, vmap


def normal(*shape: int) -> wootz.Tensor:
    return wootz.randn(*shape, dtype=wootz.float64)


@pytest.mark.parametrize("in_dim", [0, 1, 2, -1])
@pytest.mark.parametrize("out_dim", [0, 1, 2, -1])
def test_examples_come_and_go_in_any_dimension(in_dim: int, out_dim: int) -> None:
    x = normal(3, 4, 5)
    found = vmap(lambda t: t.T * 2, in_dims=in_dim, out_dims=out_dim)(x)
    expected = np.stack([t.T * 2 for t in np.moveaxis(x.numpy(), in_dim, 0)], out_dim)
    assert np.array_equal(found.numpy(), expected)


def test_structures_of_arguments_and_results() -> None:
    x, y, z = normal(4, 3), normal(3), normal(2, 4)

    def f(pair: tuple[wootz.Tensor, wootz.Tensor], *, z: wootz.Tensor) -> dict[str, object]:
        a, b = pair
        return {"dot": a.dot(b), "more": [a + z, b]}

    out = vmap(f, in_dims=((0, None),), out_dims={"dot": 0, "more": [1, None]})((x, y), z=z.T[:, :1])
    assert np.allclose(out["dot"].numpy(), x.numpy() @ y.numpy())
    assert out["more"][0].shape == (3, 4) and out["more"][1] is not None and out["more"][1].shape == (3,)


def test_nested_vmaps_are_an_outer_product() -> None:
    x, y = normal(3, 2), normal(4, 2)
    gram = vmap(lambda a: vmap(lambda b: (a * b).sum())(y))(x)
    assert np.allclose(gram.numpy(), x.numpy() @ y.numpy().T)
    inner_first = vmap(vmap(lambda a, b: a.exp() * b), in_dims=(0, None))(normal(3, 2) * 0, normal(2))
    assert inner_first.shape == (3, 2)


def test_chunks_give_the_same() -> None:
    x = normal(7, 3)
    whole = vmap(lambda t: (t.sum(), t * 2), out_dims=(0, 1))(x)
    parts = vmap(lambda t: (t.sum(), t * 2), out_dims=(0, 1), chunk_size=3)(x)
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(whole, parts, strict=True))


def test_what_differs_between_examples_has_the_shape_of_one_inside() -> None:
    seen = []

    def f(t: wootz.Tensor) -> wootz.Tensor:
        seen.append((t.shape, t.dim(), t.numel(), t.stride(), t[0].shape))
        return t.sum()

    vmap(f)(normal(5, 2, 3))
    assert seen == [((2, 3), 2, 6, (3, 1), (3,))]


def test_promotion_is_that_of_one_example() -> None:
    scalars = wootz.tensor([1.5, 2.5], dtype=wootz.float64)  # 0-d inside
    rows = wootz.ones(2, 3)
    assert vmap(lambda s, r: s * r)(scalars, rows).dtype == wootz.float32
    assert vmap(lambda s, r: s * r)(scalars, wootz.ones(2, 3, dtype=wootz.int64)).dtype == wootz.float64
    assert vmap(lambda s: s * 2.5)(wootz.ones(3)).dtype == wootz.float32
    assert vmap(lambda s: s + 1)(wootz.tensor([1, 2], dtype=wootz.int8)).dtype == wootz.int8


def test_views_and_in_place_writes_reach_each_example() -> None:
    x = normal(3, 2, 4)

    def f(t: wootz.Tensor) -> wootz.Tensor:
        t = t.clone()
        t[0] *= 2
        t.T[1].add_(t[1, 0])
        t[:, 3] = t.sum()
        return t

    expected = []
    for a in x.numpy():
        t = a.copy()
        t[0] *= 2
        t.T[1] += t[1, 0]
        t[:, 3] = t.sum()
        expected.append(t)
    assert np.allclose(vmap(f)(x).numpy(), np.stack(expected))


def test_in_place_writes_are_differentiated() -> None:
    def f(t: wootz.Tensor) -> wootz.Tensor:
        t = t * 1
        t[0].mul_(t[1, 0].clone())
        t.exp_()
        return (t * t).sum()

    x = normal(3, 2, 2)
    found = vmap(grad(f))(x)
    expected = np.stack([grad(f)(t).numpy() for t in x])
    assert np.allclose(found.numpy(), expected)


def test_indexing_with_indices_that_differ() -> None:
    x, rows = normal(4, 3, 5), wootz.tensor([[0, 2], [1, 1], [2, 0], [0, 0]])
    found = vmap(lambda t, i: t[i])(x, rows)
    assert np.array_equal(found.numpy(), np.stack([t[i] for t, i in zip(x.numpy(), rows.numpy(), strict=True)]))
    found = vmap(lambda t, i: t[:, i])(x, rows)
    assert np.array_equal(found.numpy(), np.stack([t[:, i] for t, i in zip(x.numpy(), rows.numpy(), strict=True)]))
    found = vmap(lambda i: x[0][i])(rows)
    assert np.array_equal(found.numpy(), x.numpy()[0][rows.numpy()])
    one = vmap(lambda t, i: t[i])(x, wootz.tensor([0, 1, 2, 1]))  # 0-d inside
    assert np.array_equal(one.numpy(), x.numpy()[np.arange(4), [0, 1, 2, 1]])


def test_randomness_is_an_error_the_same_or_different() -> None:
    x = wootz.zeros(4, 3)

    def noisy(t: wootz.Tensor) -> wootz.Tensor:
        return t + wootz.rand(3)

    with pytest.raises(ValueError, match="randomness error mode"):
        vmap(noisy)(x)
    same = vmap(noisy, randomness="same")(x).numpy()
    assert np.all(same == same[0]) and np.all(same[0] > 0)
    different = vmap(noisy, randomness="different")(x).numpy()
    assert len({tuple(row) for row in different}) == 4
    shuffled = vmap(lambda t: t[wootz.randperm(3)], randomness="different")(wootz.arange(30).reshape(10, 3)).numpy()
    assert (
        np.array_equal(np.sort(shuffled, 1), np.arange(30).reshape(10, 3)) and len({tuple(r % 3) for r in shuffled}) > 1
    )
    for make in (wootz.randn, lambda n: wootz.randint(0, 1000, (n,)), lambda n: wootz.bernoulli(0.5, (n,))):
        drawn = vmap(lambda t, make=make: make(40) * 1 + 0 * t.sum(), randomness="different")(x).numpy()
        assert drawn.shape == (4, 40) and not np.array_equal(drawn[0], drawn[1])
    both = vmap(vmap(lambda t: wootz.rand(2), randomness="same"), randomness="different")(wootz.zeros(3, 2)).numpy()
    assert np.all(both[:, 0] == both[:, 1]) and not np.array_equal(both[0], both[1])
    with pytest.raises(ValueError, match="must be one of error, same, different"):
        vmap(noisy, randomness="sometimes")


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (lambda: vmap(lambda t: t.sum().item())(normal(3, 2)), ValueError, r"\.item\(\)"),
        (lambda: vmap(lambda t: t if t.sum() > 0 else -t)(normal(3, 2)), ValueError, "decide an if"),
        (lambda: vmap(lambda t: t.numpy())(normal(3, 2)), (RuntimeError, BufferError), "inside vmap"),
        (lambda: vmap(lambda t: t[t > 0])(normal(3, 2)), ValueError, "mask that differs between examples"),
        (lambda: vmap(lambda t: t.nonzero())(normal(3, 2)), ValueError, "different shapes"),
        (lambda: vmap(lambda t: 3)(normal(3)), TypeError, "must only return tensors, got a int"),
        (lambda: vmap(lambda t: t, out_dims=None)(normal(3)), ValueError, "out_dims is None"),
        (lambda: vmap(lambda t: t, out_dims=2)(normal(3)), ValueError, "out_dim 2"),
        (lambda: vmap(lambda t: (t, t), out_dims=(0,))(normal(3)), ValueError, "out_dims .* does not fit"),
        (lambda: vmap(lambda t: t, in_dims=1)(normal(3)), ValueError, "in_dim 1 .* outside"),
        (lambda: vmap(lambda t: t, in_dims=(0, 0))(normal(3)), ValueError, "in_dims .* does not fit"),
        (lambda: vmap(lambda t: t, in_dims=None)(normal(3)), ValueError, "no argument is mapped"),
        (lambda: vmap(lambda a, b: a, in_dims=0)(normal(3), 2), ValueError, "is a int and no tensor"),
        (lambda: vmap(lambda a, b: a + b)(normal(3), normal(4)), ValueError, r"same size, got sizes \[3, 4\]"),
        (lambda: vmap(lambda t: wootz.zeros(2, dtype=wootz.float64).add_(t))(normal(3, 2)), ValueError, "one for all"),
        (lambda: vmap(lambda t: t.sum(), chunk_size=0)(normal(3, 2)), ValueError, "chunk_size"),
        (lambda: vmap(lambda t: memoryview(t))(normal(3)), BufferError, "inside vmap"),
        (lambda: vmap(lambda t: t.__dlpack__())(normal(3)), ValueError, "inside vmap"),
    ],
)
def test_what_cannot_be_mapped_is_named(act, kind, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(kind, match=message):
        act()
    assert wootz._core.vmap_depth() == 0  # left behind by nothing


def test_printing_inside_shows_all_examples() -> None:
    seen: list[str] = []
    vmap(lambda t: seen.append(repr(t)) or t)(wootz.ones(2, 1))  # type: ignore[func-returns-value]
    assert "vmap" in seen[0] and "[1.]" in seen[0]


def test_no_examples_are_fine_where_rules_exist() -> None:
    assert vmap(lambda t: (t * 2).sum())(wootz.zeros(0, 3)).shape == (0,)


def test_threads_map_independently() -> None:
    found: dict[int, bool] = {}

    def work(k: int) -> None:
        x = normal(8, 16)
        found[k] = all(
            np.allclose(vmap(grad(lambda t: (t**3).sum()))(x).numpy(), 3 * x.numpy() ** 2) for _ in range(20)
        )

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == dict.fromkeys(range(4), True)


def test_a_parameter_shared_by_all_examples_gets_the_sum_of_their_gradients() -> None:
    w = normal(3).requires_grad_()
    x = normal(5, 3)
    vmap(lambda t: (t * w + w).exp().sum())(x).sum().backward()
    found, w.grad = w.grad.numpy().copy(), None
    (x * w + w).exp().sum().backward()
    assert np.allclose(found, w.grad.numpy())


def test_modules_run_mapped_over_inputs_and_over_models() -> None:
    models = [nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 2)).double() for _ in range(3)]
    x = normal(5, 3)
    one = models[0]
    each = vmap(one)(x)
    assert np.allclose(each.detach().numpy(), one(x).detach().numpy())
    params, buffers = stack_module_state(models)
    found = vmap(lambda p, b, t: functional_call(one, (p, b), (t,)), in_dims=(0, 0, None))(params, buffers, x)
    expected = np.stack([m(x).detach().numpy() for m in models])
    assert np.allclose(found.detach().numpy(), expected)


def test_per_sample_gradients_of_a_model() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    params = {k: p.detach() for k, p in model.named_parameters()}
    x, y = normal(6, 3), wootz.randint(0, 2, (6,))

    def loss(p: dict[str, wootz.Tensor], t: wootz.Tensor, target: wootz.Tensor) -> wootz.Tensor:
        return nn.functional.cross_entropy(functional_call(model, p, (t.unsqueeze(0),)), target.unsqueeze(0))

    found = vmap(grad(loss), in_dims=(None, 0, 0))(params, x, y)
    for i in range(6):
        model.zero_grad()
        nn.functional.cross_entropy(model(x[i : i + 1]), y[i : i + 1]).backward()
        for name, p in model.named_parameters():
            assert np.allclose(found[name][i].numpy(), p.grad.numpy()), name


def test_functional_call_refuses_what_does_not_fit_and_leaves_the_module_alone() -> None:
    model = nn.Linear(2, 1)
    before = model.weight
    assert functional_call(model, {"weight": wootz.ones(1, 2), "bias": wootz.zeros(1)}, wootz.ones(1, 2)).tolist() == [
        [2.0]
    ]
    assert model.weight is before
    with pytest.raises(KeyError, match="no parameter or buffer 'depth'"):
        functional_call(model, {"depth": wootz.ones(1)}, wootz.ones(1, 2))
    with pytest.raises(KeyError, match=r"strict=True.*bias"):
        functional_call(model, {"weight": wootz.ones(1, 2)}, wootz.ones(1, 2), strict=True)
    with pytest.raises(ValueError, match="several of the mappings"):
        functional_call(model, ({"bias": wootz.ones(1)}, {"bias": wootz.ones(1)}), wootz.ones(1, 2))
    with pytest.raises(wootz.errors.ShapeError):
        functional_call(model, {"weight": wootz.ones(3, 3)}, wootz.ones(1, 2))
    assert model.weight is before
    with pytest.raises(TypeError, match="one class"):
        stack_module_state([model, nn.Tanh()])

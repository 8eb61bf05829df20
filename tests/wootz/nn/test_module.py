"""Modules: registration, traversal, modes, hooks, state, and what is refused."""

import gc
import weakref

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.errors import StateDictError


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.scale = nn.Parameter(wootz.full((4,), 2.0))
        self.register_buffer("count", wootz.zeros(2))
        self.register_buffer("scratch", wootz.zeros(1), persistent=False)
        self.inner = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Linear(4, 2, bias=False)})
        self.label = "plain"

    def forward(self, x):
        return self.inner["b"](self.inner["a"](self.first(x)) * self.scale)


KEYS = ["scale", "count", "first.weight", "first.bias", "inner.b.weight"]


def test_names_come_in_pytorchs_order():
    block = Block()
    assert list(block.state_dict()) == KEYS
    assert [n for n, _ in block.named_parameters()] == ["scale", "first.weight", "first.bias", "inner.b.weight"]
    assert [n for n, _ in block.named_buffers()] == ["count", "scratch"]
    assert [n for n, _ in block.named_modules()] == ["", "first", "inner", "inner.a", "inner.b"]
    assert [n for n, _ in block.named_children()] == ["first", "inner"]
    assert [n for n, _ in block.named_parameters(prefix="m", recurse=False)] == ["m.scale"]
    assert list(block.state_dict(prefix="m.")) == ["m." + k for k in KEYS]


def test_names_are_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")

    def build(nn, full):
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))])
                self.embed = nn.Embedding(5, 2)
                self.gain = nn.Parameter(full)
                self.register_buffer("seen", full * 2)

        return Model()

    ours, theirs = build(nn, wootz.ones(2)), build(torch.nn, torch.ones(2))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    assert repr(ours.layers[1][0]) == repr(theirs.layers[1][0])


def test_a_shared_parameter_comes_once_and_is_saved_under_both_names():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    assert len(list(model.parameters())) == 3
    assert "0.weight" in model.state_dict() and "1.weight" in model.state_dict()
    assert len(list(model.named_parameters(remove_duplicate=False))) == 4


def test_train_eval_apply_and_requires_grad_reach_everything():
    block, seen = Block(), []
    assert block.eval() is block and not any(m.training for m in block.modules())
    block.train()
    assert all(m.training for m in block.modules())
    block.apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "ReLU", "Linear", "ModuleDict", "Block"]
    block.requires_grad_(False)
    assert not any(p.requires_grad for p in block.parameters())


def test_zero_grad():
    block = Block()
    (block.scale * 3).sum().backward()
    held = block.scale.grad
    assert held.tolist() == [3] * 4
    block.zero_grad(set_to_none=False)
    assert block.scale.grad is held and held.tolist() == [0] * 4
    block.zero_grad()
    assert block.scale.grad is None


def test_attributes_replace_and_delete():
    block = Block()
    block.scale = nn.Parameter(wootz.ones(4))
    assert block.scale.tolist() == [1] * 4
    block.count = wootz.ones(2)
    assert block.state_dict()["count"].tolist() == [1, 1]
    block.scale = None
    assert "scale" not in block.state_dict() and block.scale is None
    del block.first
    with pytest.raises(AttributeError, match="no attribute 'first'"):
        _ = block.first
    block.label = nn.ReLU()  # a plain attribute becomes a module
    assert "label" in dict(block.named_children())
    assert {"scale", "count", "inner", "label"} <= set(dir(block))


def test_what_cannot_be_registered_is_refused():
    block = Block()
    with pytest.raises(TypeError, match="assign a Parameter or None"):
        block.scale = wootz.ones(4)
    with pytest.raises(TypeError, match="assign a Module or None"):
        block.first = 3
    with pytest.raises(TypeError):
        block.register_parameter("p", wootz.ones(1))
    with pytest.raises(TypeError):
        block.register_buffer("b", 3)
    with pytest.raises(TypeError):
        block.register_module("m", wootz.ones(1))
    for name in ("", "a.b", 3, "forward"):
        with pytest.raises(KeyError):
            block.register_buffer(name, wootz.ones(1))

    class Forgot(nn.Module):
        def __init__(self):
            self.p = nn.Parameter(wootz.ones(1))

    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\)"):
        Forgot()
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)


def test_hooks_see_and_change_what_passes():
    linear, calls = nn.Linear(2, 2), []
    x = wootz.ones(1, 2)
    plain = linear(x)
    with linear.register_forward_hook(lambda m, args, out: calls.append((m, args[0] is x, out.shape))):
        linear(x)
    linear(x)
    assert calls == [(linear, True, (1, 2))]
    handle = linear.register_forward_pre_hook(lambda m, args: args[0] * 0)
    doubled = linear.register_forward_hook(lambda m, args, out: out * 2)
    np.testing.assert_allclose(linear(x).detach().numpy(), linear.bias.detach().numpy()[None] * 2, 1e-6)
    handle.remove()
    doubled.remove()
    doubled.remove()
    assert linear(x).tolist() == plain.tolist()


def test_state_is_loaded_by_value_and_shares_its_own_storage():
    block, other = Block(), Block()
    state = block.state_dict()
    state["scale"].mul_(3)
    assert block.scale.tolist() == [6] * 4 and not state["scale"].requires_grad
    assert block.state_dict(keep_vars=True)["scale"] is block.scale
    weight = other.first.weight
    assert other.load_state_dict(state) == ([], [])
    assert other.first.weight is weight and weight.tolist() == block.first.weight.tolist()
    block.first.weight.detach().zero_()
    assert weight.tolist() != block.first.weight.tolist()


def test_every_problem_of_a_state_is_named_at_once_and_nothing_is_loaded():
    block = Block()
    state = {k: v.clone() for k, v in block.state_dict().items()}
    before = {k: v.clone() for k, v in state.items()}
    state["scale"] = wootz.zeros(5)
    state["count"] = np.zeros(2)
    state["extra"] = wootz.zeros(1)
    del state["first.bias"]
    state["first.weight"].zero_()
    with pytest.raises(StateDictError) as caught:
        block.load_state_dict(state)
    for part in ("Block", r"'scale' has shape (5,)", "'count' is a ndarray", "missing key 'first.bias'", "key 'extra'"):
        assert part in str(caught.value)
    assert all((v == before[k]).all().item() for k, v in block.state_dict().items())
    with pytest.raises(StateDictError, match="shape"):
        block.load_state_dict(state, strict=False)
    state["scale"], state["count"] = before["scale"], before["count"]
    missing, unexpected = block.load_state_dict(state, strict=False)
    assert (missing, unexpected) == (["first.bias"], ["extra"])


def test_a_module_changes_dtype_in_place():
    block = Block()
    block(wootz.ones(1, 3)).sum().backward()
    parameter, old = block.scale, block.scale.tolist()
    block.register_buffer("index", wootz.zeros(2, dtype=wootz.int64))
    assert block.double() is block
    assert block.scale is parameter and parameter.dtype == parameter.grad.dtype == wootz.float64
    assert block.count.dtype == wootz.float64 and block.index.dtype == wootz.int64
    assert parameter.tolist() == old and parameter.is_leaf and isinstance(parameter, nn.Parameter)
    assert block(wootz.ones(1, 3, dtype=wootz.float64)).dtype == wootz.float64
    assert block.to(wootz.ones(1)).scale.dtype == wootz.float32
    assert block.to("cpu", dtype=wootz.float64).float().cpu().scale.dtype == wootz.float32
    with pytest.raises(TypeError, match="floating-point dtypes only"):
        block.to(wootz.int64)


def test_a_lookup_by_dotted_name():
    block = Block()
    assert block.get_submodule("inner.b") is block.inner["b"] and block.get_submodule("") is block
    assert block.get_parameter("inner.b.weight") is block.inner["b"].weight
    for lookup, name in ((block.get_submodule, "inner.c"), (block.get_parameter, "first.nothing")):
        with pytest.raises(AttributeError, match="has no"):
            lookup(name)


def test_containers_behave_like_their_collections():
    chain = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert len(chain) == 3 and chain[-1] is list(chain)[2] and len(chain[:2]) == 2
    chain[1] = nn.Tanh()
    assert isinstance(chain[1], nn.Tanh) and chain.append(nn.Identity()) is chain and len(chain) == 4
    assert list(nn.Sequential({"in": nn.Linear(1, 1)}).state_dict()) == ["in.weight", "in.bias"]
    items = nn.ModuleList([nn.ReLU(), nn.Tanh()])
    items.insert(1, nn.SiLU())
    items.extend([nn.GELU()])
    del items[0]
    assert [type(m).__name__ for m in items] == ["SiLU", "Tanh", "GELU"] and list(items._modules) == ["0", "1", "2"]
    assert isinstance(items[-1], nn.GELU) and len(items[1:]) == 2
    named = nn.ModuleDict({"x": nn.ReLU()})
    named["y"] = nn.Tanh()
    assert "y" in named and list(named) == ["x", "y"] == list(named.keys()) and len(list(named.items())) == 2
    del named["x"]
    assert len(named) == len(list(named.values())) == 1
    for bad in (lambda: chain[9], lambda: items[-9]):
        with pytest.raises(IndexError):
            bad()


def test_repr_reads_like_the_model():
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Dropout(0.1)))
    assert repr(model) == (
        "Sequential(\n  (0): Linear(in_features=2, out_features=3, bias=True)\n  (1): Sequential(\n"
        "    (0): ReLU()\n    (1): Dropout(p=0.1, inplace=False)\n  )\n)"
    )


def test_a_dropped_model_is_freed():
    model = Block()
    model(wootz.ones(1, 3)).sum().backward()
    watch = weakref.ref(model)
    del model
    gc.collect()
    assert watch() is None

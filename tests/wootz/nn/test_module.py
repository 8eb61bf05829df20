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
    for part in (
        "Error(s) in loading state_dict for Block:",
        "size mismatch for scale: copying a param with shape (5,) from checkpoint, the shape in current model is (4,).",
        'named "count", expected a Tensor but received ndarray',
        'Missing key(s) in state_dict: "first.bias".',
        'Unexpected key(s) in state_dict: "extra".',
    ):
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
    assert block.half().scale.dtype == wootz.float16 and block.bfloat16().count.dtype == wootz.bfloat16
    assert block.index.dtype == wootz.int64 and block.type(wootz.float64).index.dtype == wootz.float64
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


def test_forward_hooks_take_keywords_come_first_and_see_failures():
    class Scale(nn.Module):
        def forward(self, x, *, by=1.0):
            if by == 0:
                raise ZeroDivisionError
            return x * by

    module, seen = Scale(), []
    module.register_forward_pre_hook(lambda m, a, k: (a, {"by": k["by"] * 10}), with_kwargs=True)
    module.register_forward_hook(lambda m, a, out: seen.append("second"))
    module.register_forward_hook(lambda m, a, k, out: seen.append(k["by"]), with_kwargs=True, prepend=True)
    module.register_forward_hook(lambda m, a, out: seen.append(out), always_call=True)
    x = wootz.ones(1)
    assert module(x, by=2.0).tolist() == [20] and seen[:2] == [20.0, "second"]
    seen.clear()
    with pytest.raises(ZeroDivisionError):
        module(x, by=0)
    assert seen == [None]


def hooked(library, make):
    """Gradients seen and changed by backward hooks."""
    linear, seen = library.nn.Linear(2, 2), []
    linear.load_state_dict({"weight": make(np.array([[1.0, 2], [3, 4]], "f4")), "bias": make(np.zeros(2, "f4"))})

    def both(module, grad_input, grad_output):
        seen.append([None if g is None else g.tolist() for g in (*grad_input, *grad_output)])
        return (grad_input[0] * 10,) if grad_input[0] is not None else None

    linear.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 2,))
    handle = linear.register_full_backward_hook(both)
    x = make(np.ones((1, 2), "f4")).requires_grad_()
    linear(x).sum().backward()
    linear(x.detach()).sum().backward()
    handle.remove()
    linear(x).sum().backward()
    return seen, x.grad.tolist(), linear.weight.grad.tolist()


def test_backward_hooks_see_and_change_gradients():
    seen, x, weight = hooked(wootz, wootz.from_numpy)
    assert seen == [[[[8, 12]], [[2, 2]]], [None, [[2, 2]]]]
    assert x == [[88, 132]] and weight == [[6, 6], [6, 6]]


def test_backward_hooks_are_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    assert hooked(wootz, wootz.from_numpy) == hooked(torch, torch.from_numpy)


def test_state_dict_hooks_run_where_they_belong():
    block, seen = Block(), []
    block.first.register_state_dict_pre_hook(lambda m, prefix, keep: seen.append((prefix, keep)))
    block.register_state_dict_post_hook(lambda m, state, prefix, meta: state.pop("count"))
    state = block.state_dict()
    assert seen == [("first.", False)] and "count" not in state

    def rename(module, state, prefix, *others):
        state[prefix + "weight"] = state.pop(prefix + "kernel")

    other = Block()
    other.first.register_load_state_dict_pre_hook(rename)
    other.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.remove("count"))
    state["first.kernel"] = state.pop("first.weight")
    assert other.load_state_dict(state) == ([], []) and "first.kernel" in state
    assert other.first.weight.tolist() == block.first.weight.tolist()


def test_extra_state_is_saved_and_given_back():
    class Counter(nn.Module):
        steps = 0

        def get_extra_state(self):
            return {"steps": self.steps}

        def set_extra_state(self, state):
            self.steps = state["steps"]

    model, other = nn.Sequential(Counter()), nn.Sequential(Counter())
    model[0].steps = 7
    assert model.state_dict() == {"0._extra_state": {"steps": 7}}
    other.load_state_dict(model.state_dict())
    assert other[0].steps == 7
    with pytest.raises(StateDictError, match="_extra_state"):
        other.load_state_dict({})


def test_assigning_takes_the_tensors_themselves():
    block = Block()
    state = {k: wootz.ones(v.shape, dtype=wootz.float64) for k, v in block.state_dict().items()}
    block.load_state_dict(state, assign=True)
    assert isinstance(block.scale, nn.Parameter) and block.scale.dtype == wootz.float64 and block.scale.requires_grad
    assert block.count is state["count"]


def test_buffers_and_modules_by_dotted_name():
    block = Block()
    assert block.get_buffer("count") is block.count
    with pytest.raises(AttributeError, match="has no buffer"):
        block.get_buffer("inner.b.weight")
    block.set_submodule("inner.b", nn.Identity())
    assert isinstance(block.inner["b"], nn.Identity)


def test_parameters_in_lists_and_dicts():
    held = nn.ParameterList([wootz.ones(2), nn.Parameter(wootz.zeros(3))])
    held.append(wootz.ones(1))
    held[-1] = wootz.zeros(4)
    assert [tuple(p.shape) for p in held] == [(2,), (3,), (4,)] and list(held.state_dict()) == ["0", "1", "2"]
    assert "(0): Parameter of float32 and shape 2" in repr(held)
    named = nn.ParameterDict({"a": wootz.ones(2)})
    named["b"] = wootz.zeros(1)
    assert list(named.keys()) == list(named.state_dict()) == ["a", "b"] and "b" in named and len(named) == 2
    del named["a"]
    assert list(named) == ["b"] and len(list(named.values())) == len(list(named.items())) == 1
    with pytest.raises(IndexError):
        held[3]
    with pytest.raises(TypeError, match="tensor is needed"):
        named["c"] = 3

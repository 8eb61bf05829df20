"""Recurrent layers against their equations in NumPy, packed sequences, and PyTorch where it is installed."""

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.autograd import gradcheck, gradgradcheck
from wootz.errors import ShapeError
from wootz.func import grad as func_grad
from wootz.func import vmap
from wootz.nn.utils import rnn

F64 = wootz.float64


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cell(mode, w, x, state):
    """One step by the textbook; ``w`` holds arrays under PyTorch's names."""
    a = x @ w["weight_ih"].T + w.get("bias_ih", 0)
    h = state[0]
    b = h @ w["weight_hh"].T + w.get("bias_hh", 0)
    n = h.shape[-1]
    if mode == "LSTM":
        n = state[1].shape[-1]
        i, f, g, o = ((a + b)[..., k * n : (k + 1) * n] for k in range(4))
        c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return (h @ w["weight_hr"].T if "weight_hr" in w else h), c
    if mode == "GRU":
        r, z = (sigmoid(a[..., k * n : (k + 1) * n] + b[..., k * n : (k + 1) * n]) for k in range(2))
        new = np.tanh(a[..., 2 * n :] + r * b[..., 2 * n :])
        return ((1 - z) * new + z * h,)
    return (np.tanh(a + b) if mode == "RNN" else np.maximum(a + b, 0),)


def layer(mode, module, x, states, lengths):
    """All of a module in NumPy, sequence by sequence; outputs padded with zeros, final states."""
    params = {k: v.detach().numpy() for k, v in module.named_parameters()}
    directions = 2 if module.bidirectional else 1
    finals = [np.zeros_like(s) for s in states]
    outputs = []
    for j, length in enumerate(lengths):
        seq = x[:length, j]
        for level in range(module.num_layers):
            both = []
            for d in range(directions):
                suffix = f"_l{level}" + ("_reverse" if d else "")
                w = {k.removesuffix(suffix): v for k, v in params.items() if k.endswith(suffix)}
                row = level * directions + d
                state = tuple(s[row, j] for s in states)
                steps = []
                for value in seq[::-1] if d else seq:
                    state = cell(mode, w, value, state)
                    steps.append(state[0])
                for final, s in zip(finals, state, strict=True):
                    final[row, j] = s
                both.append(np.array(steps[::-1] if d else steps))
            seq = np.concatenate(both, -1)
        outputs.append(np.concatenate([seq, np.zeros((len(x) - length, seq.shape[-1]))]))
    return np.stack(outputs, 1), finals


CASES = {
    "RNN": (nn.RNN, {}),
    "RNN_RELU": (nn.RNN, {"nonlinearity": "relu", "num_layers": 2}),
    "LSTM": (nn.LSTM, {"num_layers": 2, "bidirectional": True}),
    "LSTM projected": (nn.LSTM, {"num_layers": 2, "bidirectional": True, "proj_size": 2}),
    "LSTM without bias": (nn.LSTM, {"bias": False}),
    "GRU": (nn.GRU, {"num_layers": 2, "bidirectional": True}),
}
LENGTHS = [3, 5, 1]


def build(name):
    wootz.manual_seed(4)
    kind, options = CASES[name]
    module = kind(3, 4, dtype=F64, **options)
    rng = np.random.default_rng(1)
    rows = module.num_layers * (2 if module.bidirectional else 1)
    sizes = [module.proj_size or 4, 4][: module.states]
    return module, rng.normal(size=(5, 3, 3)), [rng.normal(size=(rows, 3, n)) for n in sizes]


def given(states):
    tensors = tuple(wootz.from_numpy(s.copy()) for s in states)
    return tensors if len(tensors) > 1 else tensors[0]


def listed(state):
    return list(state) if isinstance(state, tuple) else [state]


@pytest.mark.parametrize("name", CASES)
def test_layers_follow_their_equations(name):
    module, x, states = build(name)
    output, final = module(wootz.from_numpy(x), given(states))
    expected, finals = layer(name.split()[0], module, x, states, [5, 5, 5])
    np.testing.assert_allclose(output.detach().numpy(), expected, 1e-9, 1e-12)
    for ours, theirs in zip(listed(final), finals, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs, 1e-9, 1e-12)
    zero = [s * 0 for s in states]
    np.testing.assert_allclose(
        module(wootz.from_numpy(x))[0].detach().numpy(), layer(name.split()[0], module, x, zero, [5] * 3)[0]
    )


@pytest.mark.parametrize("name", CASES)
def test_packed_sequences_are_as_if_each_was_alone(name):
    module, x, states = build(name)
    packed = rnn.pack_padded_sequence(wootz.from_numpy(x), LENGTHS, enforce_sorted=False)
    output, final = module(packed, given(states))
    padded, lengths = rnn.pad_packed_sequence(output)
    expected, finals = layer(name.split()[0], module, x, states, LENGTHS)
    assert lengths.tolist() == LENGTHS
    np.testing.assert_allclose(padded.detach().numpy(), expected, 1e-9, 1e-12)
    for ours, theirs in zip(listed(final), finals, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs, 1e-9, 1e-12)


def test_batches_may_come_first_or_not_at_all():
    module, x, states = build("LSTM")
    output, final = module(wootz.from_numpy(x), given(states))
    first = nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True, dtype=F64)
    first.load_state_dict(module.state_dict())
    turned, same = first(wootz.from_numpy(x).transpose(0, 1), given(states))
    wootz.testing.assert_close(turned.transpose(0, 1), output)
    wootz.testing.assert_close(same, final)
    alone, (h, _) = module(wootz.from_numpy(x[:, 1].copy()), given([s[:, 1] for s in states]))
    wootz.testing.assert_close(alone, output[:, 1])
    assert h.shape == (4, 4)


@pytest.mark.parametrize("name", CASES)
def test_values_names_and_derivatives_are_pytorchs(name):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    module, x, states = build(name)
    kind, options = CASES[name]
    theirs = getattr(torch.nn, kind.__name__)(3, 4, dtype=torch.float64, **options)
    assert list(module.state_dict()) == list(theirs.state_dict()) and repr(module) == repr(theirs)
    theirs.load_state_dict({k: torch.from_numpy(v.numpy().copy()) for k, v in module.state_dict().items()})
    sides = []
    for library, model in ((wootz, module), (torch, theirs)):
        value = library.from_numpy(x.copy()).requires_grad_()
        lengths = library.tensor(LENGTHS)
        packed = library.nn.utils.rnn.pack_padded_sequence(value, lengths, enforce_sorted=False)
        tensors = tuple(library.from_numpy(s.copy()) for s in states)
        output, final = model(packed, tensors if len(tensors) > 1 else tensors[0])
        loss = (output.data**2).sum() + sum((s**3).sum() for s in listed(final))
        loss.backward()
        sides.append([loss.detach(), value.grad, *(p.grad for p in model.parameters())])
    for ours, other in zip(*sides, strict=True):
        np.testing.assert_allclose(ours.numpy(), other.numpy(), 1e-8, 1e-10)


def test_derivatives_through_time():
    module, x, states = build("GRU")
    assert gradcheck(lambda x, h: module(x, h), (wootz.from_numpy(x).requires_grad_(), given(states).requires_grad_()))


@pytest.mark.parametrize(("kind", "mode"), [(nn.RNNCell, "RNN"), (nn.LSTMCell, "LSTM"), (nn.GRUCell, "GRU")])
@pytest.mark.parametrize("bias", [True, False])
def test_cells_are_one_step(kind, mode, bias):
    module = kind(3, 4, bias=bias, dtype=F64)
    rng = np.random.default_rng(2)
    x, states = rng.normal(size=(2, 3)), [rng.normal(size=(2, 4)) for _ in range(module.states)]
    w = {k: v.detach().numpy() for k, v in module.named_parameters()}
    expected = cell(mode, w, x, states)
    for ours, theirs in zip(listed(module(wootz.from_numpy(x), given(states))), expected, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs, 1e-9, 1e-12)
    alone = listed(module(wootz.from_numpy(x[0].copy())))
    expected = cell(mode, w, x[0], [s[0] * 0 for s in states])
    np.testing.assert_allclose(alone[0].detach().numpy(), expected[0], 1e-9, 1e-12)


def test_dropout_is_between_layers_and_only_in_training():
    module = nn.GRU(3, 4, num_layers=2, dropout=1.0, dtype=F64)
    x = wootz.randn(5, 2, 3, dtype=F64)
    trained = module(x)[0]
    w = {k.removesuffix("_l1"): v.detach().numpy() for k, v in module.named_parameters() if k.endswith("_l1")}
    state = (np.zeros((2, 4)),)
    for t in range(5):
        state = cell("GRU", w, np.zeros((2, 4)), state)
        np.testing.assert_allclose(trained[t].detach().numpy(), state[0], 1e-9, 1e-12)
    assert not np.allclose(module.eval()(x)[0].detach().numpy(), trained.detach().numpy())


def test_padding_and_packing():
    sequences = [wootz.arange(3), wootz.arange(5), wootz.arange(1)]
    padded = rnn.pad_sequence(sequences, batch_first=True, padding_value=-1)
    assert padded.tolist() == [[0, 1, 2, -1, -1], [0, 1, 2, 3, 4], [0, -1, -1, -1, -1]]
    left = rnn.pad_sequence(sequences, padding_value=-1, padding_side="left")
    assert left[:, 0].tolist() == [-1, -1, 0, 1, 2]
    assert [s.tolist() for s in rnn.unpad_sequence(padded, [3, 5, 1], True)] == [s.tolist() for s in sequences]
    packed = rnn.pack_sequence(sequences, enforce_sorted=False)
    assert packed.data.tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 4] and packed.batch_sizes.tolist() == [3, 2, 2, 1, 1]
    again, lengths = rnn.pad_packed_sequence(packed, batch_first=True, padding_value=-1, total_length=6)
    assert again[:, :5].tolist() == padded.tolist() and lengths.tolist() == [3, 5, 1] and again.shape == (3, 6)
    assert packed.to(F64).data.dtype == F64


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: nn.RNN(3, 4, nonlinearity="sine"), "nonlinearity"),
        (lambda: nn.GRU(3, 4, dropout=1.5), "dropout"),
        (lambda: nn.GRU(3, 0), "hidden_size"),
        (lambda: nn.LSTM(3, 4, proj_size=4), "proj_size"),
        (lambda: nn.RNNCell(3, 4, nonlinearity="sine"), "nonlinearity"),
        (lambda: nn.GRU(3, 4)(wootz.ones(5, 2, 4)), "input"),
        (lambda: nn.GRU(3, 4)(wootz.ones(0, 2, 3)), "at least one step"),
        (lambda: nn.GRU(3, 4)(wootz.ones(5, 2, 3), wootz.ones(1, 3, 4)), "states of shapes"),
        (lambda: nn.LSTM(3, 4)(wootz.ones(5, 2, 3), (wootz.ones(1, 2, 4),)), "states of shapes"),
        (lambda: nn.LSTMCell(3, 4)(wootz.ones(2, 3), (wootz.ones(2, 4),)), "2 states"),
        (lambda: nn.GRUCell(3, 4)(wootz.ones(2, 4)), "input"),
        (lambda: rnn.pack_padded_sequence(wootz.ones(5, 2, 3), [2, 5]), "lengths fall"),
        (lambda: rnn.pack_padded_sequence(wootz.ones(5, 2, 3), [6, 5]), "lengths in"),
        (lambda: rnn.pack_padded_sequence(wootz.ones(5, 2, 3), [5, 0]), "lengths in"),
        (lambda: rnn.pack_padded_sequence(wootz.ones(5, 2, 3), [5]), "lengths in"),
        (lambda: rnn.pad_sequence([wootz.ones(1)], padding_side="top"), "padding_side"),
        (lambda: rnn.pad_packed_sequence(rnn.pack_sequence([wootz.ones(3)]), total_length=2), "total_length"),
    ],
)
def test_what_does_not_fit_is_refused(make, error):
    with pytest.raises((ValueError, ShapeError), match=error):
        make()


def stepped(cell: nn.Module, x: wootz.Tensor, reverse: bool = False) -> wootz.Tensor:
    """A layer's outputs by its cell, a step at a time."""
    state, out = None, []
    for part in reversed(x.unbind(0)) if reverse else x.unbind(0):
        state = cell(part, state)
        out.append(state[0] if isinstance(state, tuple) else state)
    return wootz.stack(out[::-1] if reverse else out)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_whole_sequence_and_its_gradients_are_the_cells(kind: str, bias: bool) -> None:
    wootz.manual_seed(0)
    layer = getattr(nn, kind)(3, 4, bias=bias, bidirectional=True, dtype=wootz.float64)
    x, weight = wootz.randn(5, 2, 3, dtype=wootz.float64), wootz.randn(5, 2, 8, dtype=wootz.float64)
    cells = []
    for suffix in ("_l0", "_l0_reverse"):
        cell = getattr(nn, kind + "Cell")(3, 4, bias=bias, dtype=wootz.float64)
        cell.load_state_dict({n: getattr(layer, n + suffix).detach() for n, _ in cell.named_parameters()})
        cells.append(cell)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    found = layer(a)[0]
    expected = wootz.cat([stepped(cells[0], b), stepped(cells[1], b, reverse=True)], -1)
    wootz.testing.assert_close(found, expected)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    wootz.testing.assert_close(a.grad, b.grad)
    for cell, suffix in zip(cells, ("_l0", "_l0_reverse"), strict=True):
        for name, parameter in cell.named_parameters():
            wootz.testing.assert_close(getattr(layer, name + suffix).grad, parameter.grad)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_whole_sequence_has_second_derivatives_and_runs_inside_vmap(kind: str) -> None:
    wootz.manual_seed(1)
    layer = getattr(nn, kind)(2, 3, dtype=wootz.float64)
    x = wootz.randn(3, 2, 2, dtype=wootz.float64, requires_grad=True)
    assert gradcheck(lambda v: layer(v)[0], (x,)) and gradgradcheck(lambda v: layer(v)[0], (x,))
    many = wootz.randn(4, 3, 2, 2, dtype=wootz.float64)
    together = vmap(func_grad(lambda v: layer(v)[0].square().sum()))(many)
    for one, found in zip(many, together, strict=True):
        one = one.clone().requires_grad_()
        layer(one)[0].square().sum().backward()
        wootz.testing.assert_close(found, one.grad)
    jacobian = vmap(lambda g: wootz.autograd.grad(layer(x)[0], x, g)[0])(
        wootz.eye(18, dtype=wootz.float64).reshape((18, 3, 2, 3))
    )
    wootz.testing.assert_close(jacobian[5], wootz.autograd.grad(layer(x)[0].flatten()[5], x)[0])

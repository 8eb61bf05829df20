"""Recurrent layers: Elman's, LSTM and GRU, with PyTorch's parameter names and order of gates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.nn import functional as F
from wootz.nn import init
from wootz.nn.module import Module
from wootz.nn.parameter import Parameter
from wootz.nn.sequence import GRUSequence, LSTMSequence, fits
from wootz.nn.utils.rnn import PackedSequence

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

State = tuple[Tensor, ...]
# One step: the input's share of the gates and the state before give the state after. The first of it is the output.
Step = Callable[[Tensor, State, "_Weights"], State]


class _Weights:
    """The parameters of one layer in one direction."""

    def __init__(self, ih: Tensor, hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None, hr: Tensor | None) -> None:
        self.ih, self.hh, self.b_ih, self.b_hh, self.hr = ih, hh, b_ih, b_hh, hr


def _elman(activation: Callable[[Tensor], Tensor]) -> Step:
    def step(x: Tensor, state: State, w: _Weights) -> State:
        return (activation(x + F.linear(state[0], w.hh, w.b_hh)),)

    return step


def _lstm(x: Tensor, state: State, w: _Weights) -> State:
    """Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000; gates i, f, g, o."""
    h, c = state
    i, f, g, o = (x + F.linear(h, w.hh, w.b_hh)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return (h if w.hr is None else F.linear(h, w.hr)), c


def _gru(x: Tensor, state: State, w: _Weights) -> State:
    """Cho et al. 2014, with the reset gate after the product; gates r, z, n."""
    (h,) = state
    xr, xz, xn = x.chunk(3, -1)
    hr, hz, hn = F.linear(h, w.hh, w.b_hh).chunk(3, -1)
    z = (xz + hz).sigmoid()
    n = (xn + (xr + hr).sigmoid() * hn).tanh()
    return (n + z * (h - n),)


_STEPS: dict[str, Step] = {
    "LSTM": _lstm, "GRU": _gru, "RNN_TANH": _elman(wootz.tanh), "RNN_RELU": _elman(wootz.relu),
}  # fmt: skip
_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _run(step: Step, x: Tensor, sizes: Sequence[int], state: State, w: _Weights, reverse: bool) -> tuple[Tensor, State]:
    """One layer in one direction over packed steps. Rows of ended (or not yet begun) sequences keep their state."""
    drive = F.linear(x, w.ih, w.b_ih)  # the input's share of all steps in one product
    if step is _lstm or x.device.type == "cuda":  # PyTorch's fused layers keep their state in autocast's type
        state = tuple(s.to(drive.dtype) for s in state)
    if step in _WHOLE and w.hr is None and sizes[-1] == sizes[0] and fits(drive, *state, w.hh, w.b_hh):
        return _together(step, drive.reshape((len(sizes), sizes[0], -1)), state, w, reverse)
    parts = drive.split(list(sizes))
    outputs: list[Tensor] = []
    for part in reversed(parts) if reverse else parts:
        live = part.shape[0]
        new = step(part, tuple(s[:live] for s in state), w)
        outputs.append(new[0])
        whole = live == state[0].shape[0]
        state = new if whole else tuple(wootz.cat([n, s[live:]]) for n, s in zip(new, state, strict=True))
    return wootz.cat(outputs[::-1] if reverse else outputs), state


_WHOLE: dict[Step, Any] = {_lstm: LSTMSequence, _gru: GRUSequence}


def _together(step: Step, drive: Tensor, state: State, w: _Weights, reverse: bool) -> tuple[Tensor, State]:
    """Sequences of one length, as one function of all steps."""
    outputs = _WHOLE[step].apply(drive.flip(0) if reverse else drive, *state, w.hh, w.b_hh)
    hidden, rest = (outputs[0], tuple(outputs[1:])) if isinstance(outputs, tuple) else (outputs, ())
    end = (hidden[-1], *rest)
    return (hidden.flip(0) if reverse else hidden).flatten(0, 1), end


class RNNBase(Module):
    """Layers of a recurrent step over a sequence, in one direction or both.

    Input [steps, batch, input_size] ([batch, steps, input_size] if ``batch_first``), [steps, input_size], or a
    `PackedSequence`. Returns the last layer's outputs and the final states [layers * directions, batch, size]. Between
    layers ``dropout`` applies in training. Parameters start uniform within 1 / sqrt(hidden_size).
    """

    states: ClassVar[int] = 1

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if mode not in _STEPS:
            raise ValueError(f"mode is one of {', '.join(_STEPS)}, not {mode!r}")
        if hidden_size < 1 or num_layers < 1 or not 0 <= dropout <= 1:
            raise ValueError(
                "hidden_size and num_layers are at least 1, dropout a probability; "
                f"not {hidden_size}, {num_layers} and {dropout}"
            )
        if not 0 <= proj_size < hidden_size or (proj_size and mode != "LSTM"):
            raise ValueError(f"proj_size is below hidden_size {hidden_size}, and for LSTM only; not {proj_size}")
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        out = proj_size or hidden_size
        for layer in range(num_layers):
            wide = input_size if layer == 0 else out * (1 + bidirectional)
            for suffix in self._suffixes(layer):
                shapes = {"weight_ih": (wide,), "weight_hh": (out,), "bias_ih": (), "bias_hh": ()}
                for name, columns in shapes.items():
                    if bias or name.startswith("weight"):
                        size = (_GATES[mode] * hidden_size, *columns)
                        self.register_parameter(name + suffix, Parameter(wootz.empty(size, device=device, dtype=dtype)))
                if proj_size:
                    size = (proj_size, hidden_size)
                    self.register_parameter(
                        f"weight_hr{suffix}", Parameter(wootz.empty(size, device=device, dtype=dtype))
                    )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new first values."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Does nothing: PyTorch joins the parameters for cuDNN here."""

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: 1 + self.bidirectional]

    def _weights(self, suffix: str) -> _Weights:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        return _Weights(*(self._parameters.get(name + suffix) for name in names))  # type: ignore[arg-type]

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, PackedSequence):
            sizes = [int(n) for n in input.batch_sizes.tolist()]
            state = self._begin(hx, sizes[0], input.data, input.sorted_indices)
            data, final = self._layers(input.data, sizes, state)
            return input._replace(data=data), self._one(self._end(final, input.unsorted_indices))
        if input.dim() not in (2, 3) or input.shape[-1] != self.input_size:
            raise ShapeError(f"input [steps, batch, {self.input_size}] is needed, not {tuple(input.shape)}")
        if input.dim() == 2:
            states = [s.unsqueeze(1) for s in self._listed(hx)] if hx is not None else None
            output, end = self._padded(input.unsqueeze(1), states)
            return output.squeeze(1), self._one(tuple(s.squeeze(1) for s in end))
        output, end = self._padded(input.transpose(0, 1) if self.batch_first else input, hx)
        return (output.transpose(0, 1) if self.batch_first else output), self._one(end)

    def _one(self, state: State) -> Any:
        return state if self.states > 1 else state[0]

    def _padded(self, steps: Tensor, hx: Any) -> tuple[Tensor, State]:
        count, batch = steps.shape[:2]
        if not count:
            raise ShapeError("a sequence has at least one step")
        state = self._begin(hx, batch, steps, None)
        data, final = self._layers(steps.reshape((count * batch, -1)), [batch] * count, state)
        return data.reshape((count, batch, -1)), self._end(final, None)

    def _listed(self, hx: Any) -> list[Tensor]:
        return list(hx) if isinstance(hx, (tuple, list)) else [hx]

    def _begin(self, hx: Any, batch: int, like: Tensor, order: Tensor | None) -> list[State]:
        """The first state of each layer and direction."""
        rows = self.num_layers * (1 + self.bidirectional)
        shapes = [(rows, batch, self.proj_size or self.hidden_size), (rows, batch, self.hidden_size)][: self.states]
        if hx is None:
            held = [wootz.zeros(shape, dtype=like.dtype, device=like.device) for shape in shapes]
        else:
            held = self._listed(hx)
            if [tuple(s.shape) for s in held] != shapes:
                raise ShapeError(f"states of shapes {shapes} are needed, not {[tuple(s.shape) for s in held]}")
            held = held if order is None else [s.index_select(1, order) for s in held]
        return [tuple(s[row] for s in held) for row in range(rows)]

    def _end(self, final: list[State], order: Tensor | None) -> State:
        stacked = tuple(wootz.stack(list(part)) for part in zip(*final, strict=True))
        return stacked if order is None else tuple(s.index_select(1, order) for s in stacked)

    def _layers(self, data: Tensor, sizes: Sequence[int], state: list[State]) -> tuple[Tensor, list[State]]:
        final: list[State] = []
        for layer in range(self.num_layers):
            if layer:
                data = F.dropout(data, self.dropout, self.training)
            outputs = []
            for suffix in self._suffixes(layer):
                start, weights = state[len(final)], self._weights(suffix)
                output, end = _run(_STEPS[self.mode], data, sizes, start, weights, suffix.endswith("reverse"))
                outputs.append(output)
                final.append(end)
            data = outputs[0] if len(outputs) == 1 else wootz.cat(outputs, -1)
        return data, final

    def extra_repr(self) -> str:
        defaults = {
            "proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False,
        }  # fmt: skip
        changed = [f"{n}={getattr(self, n)}" for n, default in defaults.items() if getattr(self, n) != default]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *changed])


class RNN(RNNBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or ReLU for tanh (Elman 1990)."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        self_mode = f"RNN_{nonlinearity.upper()}"
        if self_mode not in _STEPS:
            raise ValueError(f"nonlinearity is 'tanh' or 'relu', not {nonlinearity!r}")
        super().__init__(
            self_mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory; the state is (h, c). ``proj_size`` projects h (Sak et al. 2014)."""

    states = 2

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device,
            dtype,
        )  # fmt: skip


class GRU(RNNBase):
    """Gated recurrent units."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )


class RNNCellBase(Module):
    """One step of a recurrent layer: input [batch, input_size] or [input_size], and the state before."""

    mode: str
    states: ClassVar[int] = 1

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = _GATES[self.mode] * hidden_size
        for name, columns in (
            ("weight_ih", (input_size,)),
            ("weight_hh", (hidden_size,)),
            ("bias_ih", ()),
            ("bias_hh", ()),
        ):
            made = bias or name.startswith("weight")
            value = Parameter(wootz.empty((rows, *columns), device=device, dtype=dtype)) if made else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new first values."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        if input.dim() not in (1, 2) or input.shape[-1] != self.input_size:
            raise ShapeError(f"input [batch, {self.input_size}] is needed, not {tuple(input.shape)}")
        shape = (*input.shape[:-1], self.hidden_size)
        if hx is None:
            hx = (wootz.zeros(shape, dtype=input.dtype, device=input.device),) * self.states
        held = list(hx) if isinstance(hx, (tuple, list)) else [hx]
        if [tuple(s.shape) for s in held] != [shape] * self.states:
            raise ShapeError(f"{self.states} states of shape {shape} are needed, not {[tuple(s.shape) for s in held]}")
        weights = _Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, None)
        new = _STEPS[self.mode](F.linear(input, weights.ih, weights.b_ih), tuple(held), weights)
        return new if self.states > 1 else new[0]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or ReLU for tanh."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity is 'tanh' or 'relu', not {nonlinearity!r}")
        object.__setattr__(self, "mode", f"RNN_{nonlinearity.upper()}")
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity


class LSTMCell(RNNCellBase):
    """One step of an `LSTM`: the state is (h, c), and so is what it returns."""

    mode = "LSTM"
    states = 2


class GRUCell(RNNCellBase):
    """One step of a `GRU`."""

    mode = "GRU"

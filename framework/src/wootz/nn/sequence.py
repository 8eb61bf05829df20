"""LSTM and GRU over a whole sequence as one function: a step costs a product and a few calls, and no tape.

What a step's derivative takes of the forward pass is computed for all steps at once, and so are the gradients of the
weights. Where a derivative of the derivative is asked for, the steps are run again on the tape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import wootz
from wootz import _core
from wootz._tensor import Tensor
from wootz.autograd import Function, grad
from wootz.autograd.grad_mode import enable_grad

__all__ = ["GRUSequence", "LSTMSequence", "fits"]

_KINDS = (_core.float32, _core.float64)


def fits(*tensors: Tensor | None) -> bool:
    """Whether these functions take tensors: plain ones of one floating type on the CPU, outside of vmap."""
    given = [t for t in tensors if t is not None]
    kind = given[0].dtype
    return (
        kind in _KINDS
        and all(t.dtype == kind and t.device.type == "cpu" and not _core.vmap_level(t) for t in given)
        and not _core.has_override(given)
    )


def _again(run: Callable[..., Any], inputs: Sequence[Tensor | None], grads: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradients of the inputs through recorded steps."""
    with enable_grad():
        outputs = run(*inputs)
        wanted = {i: t for i, t in enumerate(inputs) if t is not None and t.requires_grad}
        found = grad(outputs, list(wanted.values()), list(grads), create_graph=True)
    gradients = dict(zip(wanted, found, strict=True))
    return [gradients.get(i) for i in range(len(inputs))]


def _recorded(grads: Sequence[Tensor]) -> bool:
    return _core.is_grad_enabled() or any(_core.vmap_level(g) for g in grads)


def _lstm_steps(x: Tensor, h: Tensor, c: Tensor, w: Tensor, b: Tensor | None) -> tuple[Tensor, Tensor]:
    hidden = []
    for part in x.unbind(0):
        i, f, g, o = (part + _core.linear(h, w, b)).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        hidden.append(h)
    return wootz.stack(hidden), c


class LSTMSequence(Function):
    """(x [steps, batch, 4 size], h, c [batch, size], w [4 size, size], b [4 size] or None) to all h and the last c.

    x is the input's share of the gates i, f, g, o.
    """

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Any:
        x, h, c, w, b = inputs
        steps, (batch, size) = x.shape[0], h.shape
        gates, hidden = x.new_empty((steps, batch, 4, size)), x.new_empty((steps, batch, size))
        cells, squashed = x.new_empty((steps + 1, batch, size)), x.new_empty((steps, batch, size))
        cells[0].copy_(c)
        h = h.contiguous()
        for t in range(steps):
            drive = _core.add(x[t], _core.linear(h, w, b)).reshape((batch, 4, size))
            gate = gates[t]
            _core.sigmoid(drive, out=gate)
            i, f, g, o = gate.unbind(1)
            _core.tanh(drive.select(1, 2), out=g)
            c = _core.add(_core.mul(f, cells[t]), _core.mul(i, g), out=cells[t + 1])
            h = _core.mul(o, _core.tanh(c, out=squashed[t]), out=hidden[t])
        ctx.save_for_backward(*inputs, gates, hidden, cells, squashed)
        return hidden, cells[steps].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        x, h, c, w, b, gates, hidden, cells, squashed = ctx.saved_tensors
        if _recorded(grads):
            return tuple(_again(_lstm_steps, (x, h, c, w, b), grads))
        steps, batch, size = hidden.shape
        i, f, g, o = gates.unbind(2)
        inner = wootz.stack([g * i * (1 - i), cells[:steps] * f * (1 - f), i * (1 - g * g)], 2)
        through, last = o * (1 - squashed * squashed), squashed * o * (1 - o)
        drives, by_hidden, by_cell = wootz.empty_like(gates), h.new_zeros(h.shape), grads[1]
        for t in reversed(range(steps)):
            by_hidden = _core.add(by_hidden, grads[0][t])
            by_cell = _core.add(by_cell, _core.mul(by_hidden, through[t]))
            drive = drives[t]
            _core.mul(inner[t], by_cell.unsqueeze(1), out=drive.narrow(1, 0, 3))
            _core.mul(by_hidden, last[t], out=drive.select(1, 3))
            by_hidden = _core.matmul(drive.reshape((batch, 4 * size)), w)
            by_cell = _core.mul(by_cell, f[t])
        flat = drives.reshape((steps * batch, 4 * size))
        before = wootz.cat([h.unsqueeze(0), hidden[: steps - 1]]).reshape((steps * batch, size))
        bias = None if b is None else flat.sum(0)
        return drives.reshape(x.shape), by_hidden, by_cell, _core.matmul(flat.T, before), bias


def _gru_steps(x: Tensor, h: Tensor, w: Tensor, b: Tensor | None) -> tuple[Tensor]:
    hidden = []
    for part in x.unbind(0):
        xr, xz, xn = part.chunk(3, -1)
        hr, hz, hn = _core.linear(h, w, b).chunk(3, -1)
        z = (xz + hz).sigmoid()
        n = (xn + (xr + hr).sigmoid() * hn).tanh()
        h = n + z * (h - n)
        hidden.append(h)
    return (wootz.stack(hidden),)


class GRUSequence(Function):
    """(x [steps, batch, 3 size], h [batch, size], w [3 size, size], b [3 size] or None) to all h.

    x is the input's share of the gates r, z, n.
    """

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Any:
        x, h, w, b = inputs
        steps, (batch, size) = x.shape[0], h.shape
        x = x.reshape((steps, batch, 3, size))
        gates, states = x.new_empty((steps, batch, 3, size)), x.new_empty((steps + 1, batch, size))
        inner = x.new_empty((steps, batch, size))
        states[0].copy_(h)
        for t in range(steps):
            own, gate, h = _core.linear(states[t], w, b).reshape((batch, 3, size)), gates[t], states[t]
            _core.sigmoid(_core.add(x[t].narrow(1, 0, 2), own.narrow(1, 0, 2)), out=gate.narrow(1, 0, 2))
            r, z, n = gate.unbind(1)
            hn = inner[t].copy_(own.select(1, 2))
            _core.tanh(_core.add(x[t].select(1, 2), _core.mul(r, hn)), out=n)
            _core.add(n, _core.mul(z, _core.sub(h, n)), out=states[t + 1])
        ctx.save_for_backward(*inputs, gates, states, inner)
        return states[1:].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        x, h, w, b, gates, states, inner = ctx.saved_tensors
        if _recorded(grads):
            return tuple(_again(_gru_steps, (x, h, w, b), grads))
        steps, batch, size = inner.shape
        r, z, n = gates.unbind(2)
        new = (1 - z) * (1 - n * n)
        reset, update = new * inner * r * (1 - r), (states[:steps] - n) * z * (1 - z)
        factors = wootz.stack([reset, update, new * r], 2)
        own, by_hidden = wootz.empty_like(gates), h.new_zeros(h.shape)
        through = x.new_empty((steps, batch, size))
        for t in reversed(range(steps)):
            by_state = _core.add(by_hidden, grads[0][t], out=through[t])
            _core.mul(factors[t], by_state.unsqueeze(1), out=own[t])
            by_hidden = _core.add(_core.mul(by_state, z[t]), _core.matmul(own[t].reshape((batch, 3 * size)), w))
        flat = own.reshape((steps * batch, 3 * size))
        by_input = wootz.cat([own.narrow(2, 0, 2), (through * new).unsqueeze(2)], 2)
        bias = None if b is None else flat.sum(0)
        weight = _core.matmul(flat.T, states[:steps].reshape((steps * batch, size)))
        return by_input.reshape(x.shape), by_hidden, weight, bias

"""torch.fft's names: discrete Fourier transforms along one dimension, two or many, of real and complex tensors.

Three linear maps do the work, each the adjoint of another up to weights: complex to complex, real to the half of a
spectrum that is not redundant, and such a half to real. So every derivative is a transform again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from wootz import _core
from wootz._core import Tensor, dtype
from wootz.errors import DTypeError, ShapeError
from wootz.ops.array_op import along, array_op, floating, wrapped, zeros
from wootz.ops.complex_numbers import conj
from wootz.ops.creation import place
from wootz.ops.database import op
from wootz.ops.shaping import roll

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn", "ifftshift",
    "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

Dims = Sequence[int] | None


def _c2c_rule(g: Tensor, out: Tensor, x: Tensor, dims: tuple[int, ...], inverse: bool, scale: float) -> Tensor:
    return _c2c(g, dims, not inverse, scale)


@array_op(_c2c_rule, batch=along(1))
def _c2c(xp: Any, x: Any, dims: tuple[int, ...], inverse: bool, scale: float) -> Any:
    found = xp.fft.ifftn(x, axes=dims, norm="forward") if inverse else xp.fft.fftn(x, axes=dims)
    return (found * scale).astype(x.dtype)


def _r2c_rule(g: Tensor, out: Tensor, x: Tensor, dims: tuple[int, ...], scale: float) -> Tensor:
    """The other half of the spectrum has no gradient of its own: as zeros beside g."""
    whole = _c2c(_sized(g, dims[-1], x.shape[dims[-1]]), dims, True, scale)
    return _core.view_as_real(whole).select(-1, 0)


@array_op(_r2c_rule, batch=along(1))
def _r2c(xp: Any, x: Any, dims: tuple[int, ...], scale: float) -> Any:
    found = xp.fft.rfftn(x, axes=dims) * scale
    return found.astype("complex64" if x.dtype == xp.float32 else "complex128")


def _c2r_rule(g: Tensor, out: Tensor, x: Tensor, dims: tuple[int, ...], n: int, scale: float) -> Tensor:
    """Each frequency counts for itself and its mirror image, but for 0 and, of an even length, the highest."""
    half = _r2c(g, dims, scale)
    last = dims[-1]
    ranks = _core.arange(0, half.shape[last], 1, _core.int64)
    single = (ranks == 0) | (ranks * 2 == n)
    shape = [-1 if d == last else 1 for d in range(half.dim())]
    weights = _core.where(single, 1.0, 2.0).to(g.dtype).reshape(shape).to(g.device)
    return _sized(half * weights, last, x.shape[last])


@array_op(_c2r_rule, batch=along(1))
def _c2r(xp: Any, x: Any, dims: tuple[int, ...], n: int, scale: float) -> Any:
    sizes = [*(x.shape[d] for d in dims[:-1]), n]
    found = xp.fft.irfftn(x, sizes, axes=dims, norm="forward") * scale
    return found.astype("float32" if x.dtype == xp.complex64 else "float64")


def _sized(x: Tensor, dim: int, n: int) -> Tensor:
    """The first n entries along a dimension, zeros added where there are fewer."""
    have = x.shape[dim]
    if n <= have:
        return x if n == have else x.narrow(dim, 0, n)
    return _core.cat([x, zeros(x, (*x.shape[:dim], n - have, *x.shape[dim + 1 :]))], dim)


def _where(name: str, x: Tensor, s: Dims, dim: Dims) -> tuple[tuple[int, ...], list[int | None]]:
    """The dimensions to transform, and the sizes asked for."""
    if dim is None:
        dim = range(x.dim()) if s is None else range(x.dim() - len(s), x.dim())
    dims = tuple(wrapped(f"fft.{name}", d, x.dim()) for d in dim)
    sizes = [None] * len(dims) if s is None else [None if n == -1 else n for n in s]
    if len(set(dims)) != len(dims) or len(sizes) != len(dims) or not dims or x.dim() == 0:
        raise ShapeError(f"fft.{name}: expected different dimensions of the tensor, and as many sizes; found "
                         f"dim={dim}, s={s} and shape {x.shape}")  # fmt: skip
    return dims, list(sizes)


def _fitted(name: str, x: Tensor, dims: tuple[int, ...], sizes: Sequence[int | None]) -> Tensor:
    for d, n in zip(dims, sizes, strict=True):
        n = x.shape[d] if n is None else n
        if n < 1:
            raise ShapeError(f"fft.{name}: Invalid number of data points ({n}) specified")
        x = _sized(x, d, n)
    return x


def _scale(name: str, count: int, norm: str | None, inverse: bool) -> float:
    if norm not in (None, "backward", "ortho", "forward"):
        raise ValueError(f"fft.{name}: Invalid normalization mode: {norm!r}; expected backward, ortho or forward")
    if norm == "ortho":
        return 1 / math.sqrt(count)
    return 1 / count if (norm == "forward") != inverse else 1.0


def _complex(name: str, x: Tensor, s: Dims, dim: Dims, norm: str | None, inverse: bool) -> Tensor:
    dims, sizes = _where(name, x, s, dim)
    x = floating(x)
    if not x.dtype.is_complex:
        x = x.to(_core.complex64 if x.dtype == _core.float32 else _core.complex128)
    x = _fitted(name, x, dims, sizes)
    count = math.prod(x.shape[d] for d in dims)
    return _c2c(x, dims, inverse, _scale(name, count, norm, inverse))


def _half(name: str, x: Tensor, s: Dims, dim: Dims, norm: str | None, inverse: bool) -> Tensor:
    """Real to half a spectrum; ``inverse`` is a matter of scale here."""
    dims, sizes = _where(name, x, s, dim)
    if x.dtype.is_complex:
        raise DTypeError(f"fft.{name} expects a real input tensor, but got {x.dtype.name}")
    x = _fitted(name, floating(x), dims, sizes)
    count = math.prod(x.shape[d] for d in dims)
    return _r2c(x, dims, _scale(name, count, norm, inverse))


def _whole(name: str, x: Tensor, s: Dims, dim: Dims, norm: str | None, inverse: bool) -> Tensor:
    """Half a spectrum to real; ``inverse`` is a matter of scale here."""
    dims, sizes = _where(name, x, s, dim)
    x = floating(x)
    if not x.dtype.is_complex:
        x = x.to(_core.complex64 if x.dtype == _core.float32 else _core.complex128)
    n = 2 * (x.shape[dims[-1]] - 1) if sizes[-1] is None else sizes[-1]
    if n < 1:
        raise ShapeError(f"fft.{name}: Invalid number of data points ({n}) specified")
    x = _fitted(name, x, dims, [*sizes[:-1], n // 2 + 1])
    count = math.prod([*(x.shape[d] for d in dims[:-1]), n])
    return _c2r(x, dims, n, _scale(name, count, norm, inverse))


def _one(n: int | None) -> Dims:
    return None if n is None else (n,)


@op("X(5)", "N(6), 4", "X(2, 3), 5, 0", "N(2, 3), None, 1, 'ortho'", "X(3), norm='forward'", tolerance=1e-12,
    autocast={"cpu": "wide"})  # fmt: skip
def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The discrete Fourier transform along ``dim``, of the first n entries, or of those and zeros.

    ``norm`` says where to divide by the length: "backward" (the inverse), "forward", or "ortho" (both, by its root).
    """
    return _complex("fft", input, _one(n), (dim,), norm, False)


@op("X(5)", "N(6), 4", "X(2, 3), 5, 0", "N(2, 3), None, 1, 'ortho'", tolerance=1e-12, autocast={"cpu": "wide"})
def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `fft`."""
    return _complex("ifft", input, _one(n), (dim,), norm, True)


@op("N(5)", "N(6), 4", "N(2, 3), 6, 0", "N(2, 4), None, 1, 'ortho'", "N(1)", tolerance=1e-12,
    autocast={"cpu": "wide"})  # fmt: skip
def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """`fft` of real numbers: the first n // 2 + 1 frequencies, of which the others are conjugates."""
    return _half("rfft", input, _one(n), (dim,), norm, False)


@op("X(4)", "X(4), 5", "X(2, 3), 6, 0", "X(2, 4), None, 1, 'ortho'", "X(3), 3", tolerance=1e-12,
    autocast={"cpu": "wide"})  # fmt: skip
def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `rfft`; n is the length of the real result, 2 (m - 1) of m frequencies unless given."""
    return _whole("irfft", input, _one(n), (dim,), norm, True)


@op("X(4)", "X(4), 5", "X(2, 4), None, 1, 'ortho'", tolerance=1e-12, autocast={"cpu": "wide"})
def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The real `fft` of a signal that is its own mirrored conjugate, of which half is given."""
    return _whole("hfft", conj(input), _one(n), (dim,), norm, False)


@op("N(5)", "N(6), 4", "N(2, 4), None, 1, 'ortho'", tolerance=1e-12, autocast={"cpu": "wide"})
def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `hfft`."""
    return conj(_half("ihfft", input, _one(n), (dim,), norm, True))


@op("X(2, 3)", "N(2, 3, 2), (2, 2), (0, 1), 'ortho'", tolerance=1e-12, autocast={"cpu": "wide"})
def fftn(input: Tensor, s: Dims = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """`fft` along several dimensions (all, unless given), with sizes ``s``."""
    return _complex("fftn", input, s, dim, norm, False)


@op("X(2, 3)", "N(2, 3, 2), (2, 2), (0, 1), 'ortho'", tolerance=1e-12, autocast={"cpu": "wide"})
def ifftn(input: Tensor, s: Dims = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """The inverse of `fftn`."""
    return _complex("ifftn", input, s, dim, norm, True)


@op("N(2, 3)", "N(2, 3, 2), (2, 4), (0, 1), 'ortho'", tolerance=1e-12, autocast={"cpu": "wide"})
def rfftn(input: Tensor, s: Dims = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """`rfft` along the last of several dimensions and `fft` along the others."""
    return _half("rfftn", input, s, dim, norm, False)


@op("X(2, 3)", "X(2, 3, 2), (2, 5), (0, 1), 'ortho'", tolerance=1e-12, autocast={"cpu": "wide"})
def irfftn(input: Tensor, s: Dims = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """The inverse of `rfftn`."""
    return _whole("irfftn", input, s, dim, norm, True)


@op("X(2, 3)", "X(2, 3, 2), (2, 5), (0, 1), 'ortho'", tolerance=1e-12)
def hfftn(input: Tensor, s: Dims = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """`hfft` along the last of several dimensions and `fft` along the others."""
    return _whole("hfftn", conj(input), s, dim, norm, False)


@op("N(2, 3)", "N(2, 3, 2), (2, 4), (0, 1), 'ortho'", tolerance=1e-12)
def ihfftn(input: Tensor, s: Dims = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """The inverse of `hfftn`."""
    return conj(_half("ihfftn", input, s, dim, norm, True))


@op("X(2, 3)", "X(2, 2, 3), (3, 2)", tolerance=1e-12, autocast={"cpu": "wide"})
def fft2(input: Tensor, s: Dims = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """`fftn` along two dimensions."""
    return _complex("fft2", input, s, dim, norm, False)


@op("X(2, 3)", "X(2, 2, 3), (3, 2)", tolerance=1e-12, autocast={"cpu": "wide"})
def ifft2(input: Tensor, s: Dims = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """The inverse of `fft2`."""
    return _complex("ifft2", input, s, dim, norm, True)


@op("N(2, 3)", "N(2, 2, 3), (3, 2)", tolerance=1e-12, autocast={"cpu": "wide"})
def rfft2(input: Tensor, s: Dims = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """`rfftn` along two dimensions."""
    return _half("rfft2", input, s, dim, norm, False)


@op("X(2, 3)", "X(2, 2, 3), (3, 3)", tolerance=1e-12, autocast={"cpu": "wide"})
def irfft2(input: Tensor, s: Dims = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """The inverse of `rfft2`."""
    return _whole("irfft2", input, s, dim, norm, True)


@op("X(2, 3)", tolerance=1e-12)
def hfft2(input: Tensor, s: Dims = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """`hfftn` along two dimensions."""
    return _whole("hfft2", conj(input), s, dim, norm, False)


@op("N(2, 3)", tolerance=1e-12)
def ihfft2(input: Tensor, s: Dims = None, dim: Dims = (-2, -1), norm: str | None = None) -> Tensor:
    """The inverse of `hfft2`."""
    return conj(_half("ihfft2", input, s, dim, norm, True))


@op("5", "4, 0.5", differentiable=False, tolerance=1e-7)
def fftfreq(
    n: int, d: float = 1.0, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The frequencies of the entries of an `fft` of n samples ``d`` apart."""
    ranks = _core.arange(0, n, 1, _core.int64)
    signed = _core.where(ranks >= (n + 1) // 2, ranks - n, ranks)
    made = (signed.to(_core.float64) / (n * d)).to(dtype or _core.get_default_dtype())
    return place(made, device, requires_grad)


@op("5", "4, 0.5", differentiable=False, tolerance=1e-7)
def rfftfreq(
    n: int, d: float = 1.0, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The frequencies of the entries of an `rfft` of n samples ``d`` apart."""
    made = _core.arange(0, n // 2 + 1, 1, _core.float64) / (n * d)
    return place(made.to(dtype or _core.get_default_dtype()), device, requires_grad)


def _shifted(name: str, x: Tensor, dim: Any, backwards: bool) -> Tensor:
    given = range(x.dim()) if dim is None else [dim] if isinstance(dim, int) else dim
    dims = [wrapped(f"fft.{name}", d, x.dim()) for d in given]
    return roll(x, [-(x.shape[d] // 2) if backwards else x.shape[d] // 2 for d in dims], dims)


@op("N(5)", "N(2, 3)", "N(2, 3), 1", "X(4)", reference="np.fft.fftshift")
def fftshift(input: Tensor, dim: int | Dims = None) -> Tensor:
    """A spectrum with frequency 0 moved to the middle."""
    return _shifted("fftshift", input, dim, False)


@op("N(5)", "N(2, 3)", "N(2, 3), 1", "X(4)", reference="np.fft.ifftshift")
def ifftshift(input: Tensor, dim: int | Dims = None) -> Tensor:
    """The inverse of `fftshift`."""
    return _shifted("ifftshift", input, dim, True)

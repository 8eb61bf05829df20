"""Weight norm and spectral norm by hooks, with the names in state dicts that PyTorch's older functions give.

New programs have them in `wootz.nn.utils.parametrizations`.
"""

from __future__ import annotations

from typing import Any, TypeVar

import wootz
from wootz._tensor import Tensor
from wootz.nn import functional as F
from wootz.nn.module import Module
from wootz.nn.parameter import Parameter
from wootz.nn.utils.parametrizations import norm_except

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


def _take(module: Module, name: str) -> Parameter:
    """Takes a parameter out of a module's."""
    weight = module._parameters.pop(name, None)
    if weight is None:
        raise ValueError(f"{type(module).__name__} has no parameter {name!r}")
    return weight


def _hook_of(module: Module, kind: type, name: str) -> tuple[int, Any]:
    for key, (hook, _) in module._forward_pre_hooks.items():
        if isinstance(hook, kind) and hook.name == name:  # type: ignore[attr-defined]  # both kinds have one
            return key, hook
    raise ValueError(f"{name!r} of {type(module).__name__} is under no {kind.__name__.strip('_')}")


def _remove(module: Module, kind: type, name: str, parts: tuple[str, ...]) -> None:
    key, hook = _hook_of(module, kind, name)
    with wootz.no_grad():
        weight = hook.weight(module).detach().clone()
    del module._forward_pre_hooks[key]
    for held in (module.__dict__, module._parameters, module._buffers):
        for part in (name, *(name + suffix for suffix in parts)):
            held.pop(part, None)
    module.register_parameter(name, Parameter(weight))


class _WeightNorm:
    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim

    def weight(self, module: Module) -> Tensor:
        direction: Tensor = getattr(module, f"{self.name}_v")
        scale: Tensor = getattr(module, f"{self.name}_g") / norm_except(direction, self.dim)
        return direction * scale

    def __call__(self, module: Module, args: Any) -> None:
        object.__setattr__(module, self.name, self.weight(module))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """A weight as length ``name_g`` times direction ``name_v`` (Salimans & Kingma 2016): a length for each index of
    ``dim``, or one for all for None.
    """
    if any(isinstance(hook, _WeightNorm) and hook.name == name for hook, _ in module._forward_pre_hooks.values()):
        raise ValueError(f"{name!r} is under weight_norm already")
    weight, hook = _take(module, name), _WeightNorm(name, None if dim == -1 else dim)
    module.register_parameter(f"{name}_g", Parameter(norm_except(weight.detach(), hook.dim)))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    hook(module, ())
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Makes the present weight an ordinary parameter again."""
    _remove(module, _WeightNorm, name, ("_g", "_v"))
    return module


class _SpectralNorm:
    def __init__(self, name: str, iterations: int, dim: int, eps: float) -> None:
        self.name, self.iterations, self.dim, self.eps = name, iterations, dim, eps

    def matrix(self, weight: Tensor) -> Tensor:
        return (weight.movedim(self.dim, 0) if self.dim else weight).flatten(1)

    def weight(self, module: Module) -> Tensor:
        weight: Tensor = getattr(module, f"{self.name}_orig")
        matrix, u, v = self.matrix(weight), getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        if module.training:
            with wootz.no_grad():
                held = matrix.detach()
                for _ in range(self.iterations):
                    v.copy_(F.normalize(held.t().mv(u), dim=0, eps=self.eps))
                    u.copy_(F.normalize(held.mv(v), dim=0, eps=self.eps))
        size: Tensor = u.clone().dot(matrix.mv(v.clone()))  # the next iteration writes over them
        return weight / size

    def __call__(self, module: Module, args: Any) -> None:
        object.__setattr__(module, self.name, self.weight(module))


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """A weight ``name_orig`` over its largest singular value, which power iteration follows in training.

    ``dim`` is the dimension of outputs: by default 0, and 1 of a transposed convolution (Miyato et al. 2018).
    """
    if n_power_iterations < 1:
        raise ValueError(f"n_power_iterations is at least 1, not {n_power_iterations}")
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    hook = _SpectralNorm(name, n_power_iterations, dim, eps)
    weight = _take(module, name)
    matrix = hook.matrix(weight.detach())
    module.register_parameter(f"{name}_orig", weight)
    for suffix, size in zip("uv", matrix.shape, strict=True):
        start = wootz.randn(size, dtype=weight.dtype, device=weight.device)
        module.register_buffer(f"{name}_{suffix}", F.normalize(start, dim=0, eps=eps))
    object.__setattr__(module, name, weight.detach())
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Makes the present weight an ordinary parameter again."""
    mode = module.training
    module.training = False
    try:
        _remove(module, _SpectralNorm, name, ("_orig", "_u", "_v"))
    finally:
        module.training = mode
    return module

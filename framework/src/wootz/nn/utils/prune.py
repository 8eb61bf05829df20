"""Pruning: weights of which some elements are held at zero, with PyTorch's names.

A pruned ``weight`` is ``weight_orig``, which is trained, times the buffer ``weight_mask``; pruning again looks at what
is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.nn.module import Module

__all__ = [
    "BasePruningMethod", "CustomFromMask", "Identity", "L1Unstructured", "LnStructured", "RandomStructured",
    "RandomUnstructured", "custom_from_mask", "global_unstructured", "identity", "is_pruned", "l1_unstructured",
    "ln_structured", "random_structured", "random_unstructured", "remove",
]  # fmt: skip

M = TypeVar("M", bound=Module)
Amount = int | float


def _count(amount: Amount, size: int) -> int:
    """How many of ``size`` an amount is: a number of them, or a share in [0, 1]."""
    share = isinstance(amount, float)
    if amount < 0 or (share and amount > 1) or (not share and amount > size):
        raise ValueError(f"an amount is a share from 0.0 to 1.0, or a number from 0 to {size}; not {amount!r}")
    return round(amount * size) if share else int(amount)


class BasePruningMethod:
    """Which elements stay: a subclass defines `compute_mask`, or for one of the two ready types `order`."""

    PRUNING_TYPE: ClassVar[str] = "global"  # unstructured: any element | structured: along `dim` | global: as it likes
    amount: Amount
    dim: int

    def order(self, scores: Tensor) -> Tensor:
        """The importance of each element (unstructured), or of each index along ``dim``: the least are pruned."""
        raise NotImplementedError(f"{type(self).__name__} defines compute_mask()")

    def compute_mask(self, scores: Tensor, default_mask: Tensor) -> Tensor:
        """1 where an element stays, 0 where not; ``default_mask`` is the mask so far."""
        if self.PRUNING_TYPE == "unstructured":
            return self._thin(scores, default_mask)
        if not -scores.dim() <= self.dim < scores.dim() or scores.dim() < 2:
            raise ShapeError(f"dimension {self.dim} of a tensor of shape {tuple(scores.shape)} cannot be pruned")
        others = [d for d in range(scores.dim()) if d != self.dim % scores.dim()]
        alive = default_mask.sum(others) > 0
        kept = self._thin(self.order(scores), alive.to(scores.dtype), ordered=True)
        shape = [1] * scores.dim()
        shape[self.dim] = -1
        return default_mask * kept.reshape(shape)

    def _thin(self, scores: Tensor, mask: Tensor, ordered: bool = False) -> Tensor:
        """The mask without the least important of what it keeps."""
        places = mask.reshape((-1,)).nonzero().squeeze(1)
        least = _count(self.amount, places.shape[0])
        if not least:
            return mask.clone()
        importance = scores if ordered else self.order(scores)
        among = importance.reshape((-1,))[places]
        gone = places[wootz.topk(among, least, largest=False)[1]]
        flat = mask.clone().reshape((-1,))
        flat[gone] = 0
        return flat.reshape(mask.shape)

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: Tensor | None = None, **kwargs: Any
    ) -> BasePruningMethod:
        """Prunes a parameter: makes the method of the arguments, and puts its mask on what is masked already."""
        method = cls(*args, **kwargs)
        present = getattr(module, name, None)
        if not isinstance(present, Tensor):
            raise ValueError(f"{type(module).__name__} has no parameter {name!r}")
        scores = present.detach() if importance_scores is None else importance_scores
        if scores.shape != present.shape:
            raise ShapeError(f"importance_scores of shape {tuple(present.shape)} are needed, not {tuple(scores.shape)}")
        masked = _masking(module, name)
        mask = getattr(module, f"{name}_mask") if masked else wootz.ones_like(present.detach())
        mask = method.compute_mask(scores, mask)
        if not masked:
            module.register_parameter(f"{name}_orig", module._parameters.pop(name))
            module.register_forward_pre_hook(_Masking(name))
        module.register_buffer(f"{name}_mask", mask)
        _put(module, name)
        return method


class _Masking:
    """The hook that computes a pruned parameter before each call."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: Module, args: Any) -> None:
        _put(module, self.name)


def _put(module: Module, name: str) -> None:
    object.__setattr__(module, name, getattr(module, f"{name}_orig") * getattr(module, f"{name}_mask"))


def _masking(module: Module, name: str) -> int | None:
    for key, (hook, _) in module._forward_pre_hooks.items():
        if isinstance(hook, _Masking) and hook.name == name:
            return key
    return None


class Identity(BasePruningMethod):
    """Nothing is pruned: a mask of ones."""

    def compute_mask(self, scores: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask.clone()


class CustomFromMask(BasePruningMethod):
    """A mask of one's own."""

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, scores: Tensor, default_mask: Tensor) -> Tensor:
        if self.mask.shape != default_mask.shape:
            raise ShapeError(f"a mask of shape {tuple(default_mask.shape)} is needed, not {tuple(self.mask.shape)}")
        return default_mask * self.mask.to(default_mask.dtype)


class _Some(BasePruningMethod):
    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: Amount) -> None:
        self.amount = amount


class RandomUnstructured(_Some):
    """Any elements."""

    def order(self, scores: Tensor) -> Tensor:
        return wootz.rand_like(scores)


class L1Unstructured(_Some):
    """The elements nearest to zero."""

    def order(self, scores: Tensor) -> Tensor:
        return scores.abs()


class _Along(BasePruningMethod):
    PRUNING_TYPE = "structured"


class RandomStructured(_Along):
    """Any indices of ``dim``."""

    def __init__(self, amount: Amount, dim: int = -1) -> None:
        self.amount, self.dim = amount, dim

    def order(self, scores: Tensor) -> Tensor:
        return wootz.rand(scores.shape[self.dim], device=scores.device)


class LnStructured(_Along):
    """The indices of ``dim`` whose elements have the smallest n-norm."""

    def __init__(self, amount: Amount, n: Any, dim: int = -1) -> None:
        self.amount, self.n, self.dim = amount, n, dim

    def order(self, scores: Tensor) -> Tensor:
        others = [d for d in range(scores.dim()) if d != self.dim % scores.dim()]
        return wootz.norm(scores, self.n, others)


def identity(module: M, name: str) -> M:
    """A mask of ones on a parameter."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: M, name: str, amount: Amount) -> M:
    """Prunes a number (int) or share (float) of a parameter's elements, any of them."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: M, name: str, amount: Amount, importance_scores: Tensor | None = None) -> M:
    """Prunes a number or share of a parameter's elements: those nearest to zero, or of the lowest scores."""
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: M, name: str, amount: Amount, dim: int) -> M:
    """Prunes a number or share of the indices of a dimension, any of them."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module: M, name: str, amount: Amount, n: Any, dim: int, importance_scores: Tensor | None = None) -> M:
    """Prunes a number or share of the indices of a dimension: those of the smallest n-norm."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: M, name: str, mask: Tensor) -> M:
    """Prunes a parameter where ``mask`` is 0."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]], pruning_method: type[BasePruningMethod],
    importance_scores: dict[tuple[Module, str], Tensor] | None = None, **kwargs: Any,
) -> None:  # fmt: skip
    """Prunes an amount of all elements of several parameters (module, name) together, by an unstructured method."""
    held = list(parameters)
    if pruning_method.PRUNING_TYPE != "unstructured":
        raise TypeError(f"{pruning_method.__name__} is not unstructured: it has no meaning over several parameters")
    given = importance_scores or {}
    present = [getattr(module, name).detach() for module, name in held]
    scores = [given.get(key, weight).reshape((-1,)) for key, weight in zip(held, present, strict=True)]
    masks = [getattr(module, f"{name}_mask") if _masking(module, name) else wootz.ones_like(weight)
             for (module, name), weight in zip(held, present, strict=True)]  # fmt: skip
    joint = wootz.cat([mask.reshape((-1,)) for mask in masks])
    kept = pruning_method(**kwargs).compute_mask(wootz.cat(scores), joint)
    for (module, name), part in zip(held, kept.split([mask.numel() for mask in masks]), strict=True):
        custom_from_mask(module, name, part.reshape(getattr(module, name).shape))


def is_pruned(module: Module) -> bool:
    """Whether anything in a module is pruned."""
    return any(isinstance(hook, _Masking) for part in module.modules() for hook, _ in part._forward_pre_hooks.values())


def remove(module: M, name: str) -> M:
    """Makes the pruned values an ordinary parameter again. Raises ValueError where a parameter is not pruned."""
    key = _masking(module, name)
    if key is None:
        raise ValueError(f"{name!r} of {type(module).__name__} is not pruned")
    del module._forward_pre_hooks[key]
    weight, mask = module._parameters.pop(f"{name}_orig"), module._buffers.pop(f"{name}_mask")
    assert weight is not None and mask is not None  # they were put there
    with wootz.no_grad():
        weight.mul_(mask)
    module.__dict__.pop(name)
    module.register_parameter(name, weight)
    return module

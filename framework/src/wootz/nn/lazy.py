"""Layers that learn the number of their input's features or channels from the first input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from wootz.nn.functional.sizes import Ints
from wootz.nn.layers import Linear
from wootz.nn.module import Module
from wootz.nn.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from wootz.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy

__all__ = [
    "LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyConv1d", "LazyConv2d", "LazyConv3d",
    "LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d", "LazyInstanceNorm1d", "LazyInstanceNorm2d",
    "LazyInstanceNorm3d", "LazyLinear", "LazyModuleMixin",
]  # fmt: skip


class LazyModuleMixin(Module):
    """A module with `UninitializedParameter`s, which the first call makes: `initialize_parameters` says how.

    From then on the module is of the class ``cls_to_become``, where that is given. Give its parameters to an optimiser
    at any time: they stay the same objects. A state dict that is loaded makes them too.
    """

    cls_to_become: ClassVar[type[Module] | None] = None

    def _wait(self) -> None:
        """Called at the end of ``__init__``."""
        self._infer_hook = self.register_forward_pre_hook(_infer, with_kwargs=True)
        self._load_hook = self.register_load_state_dict_pre_hook(_take_shapes)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Gives shapes and first values to what has none, from the arguments of the first call."""
        raise NotImplementedError(f"{type(self).__name__} has no initialize_parameters()")

    def has_uninitialized_params(self) -> bool:
        """Whether parameters or buffers are still without a shape."""
        return any(is_lazy(t) for held in (self._parameters, self._buffers) for t in held.values())


def _infer(module: LazyModuleMixin, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    module.initialize_parameters(*args, **kwargs)
    if module.has_uninitialized_params():
        raise RuntimeError(f"{type(module).__name__}.initialize_parameters() left parameters without a shape")
    module._infer_hook.remove()
    module._load_hook.remove()
    del module._infer_hook, module._load_hook
    if module.cls_to_become is not None:
        cast(Any, module).__class__ = module.cls_to_become


def _take_shapes(module: LazyModuleMixin, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for held in (module._parameters, module._buffers):
        for name, tensor in held.items():
            saved = state.get(prefix + name)
            if is_lazy(tensor) and isinstance(saved, Tensor) and not is_lazy(saved):
                cast(UninitializedParameter, tensor).materialize(saved.shape)


def _channels(module: Module, input: Tensor, batched: int, dims: Sequence[int]) -> int:
    """How many channels an input has, that of a whole batch having ``batched`` dimensions."""
    if input.dim() not in dims:
        wanted = " or ".join(map(str, dims))
        raise ShapeError(f"{type(module).__name__} expects {wanted} dimensions, got shape {tuple(input.shape)}")
    return int(input.shape[1 if input.dim() == batched else 0])


class LazyLinear(LazyModuleMixin, Linear):
    """A `Linear` whose ``in_features`` is the last extent of its first input."""

    cls_to_become = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, 0, False)
        self.out_features = out_features
        for name in ("weight", *(("bias",) if bias else ())):
            self.register_parameter(name, UninitializedParameter(device=device, dtype=dtype))
        self._wait()

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.in_features:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        if not self.has_uninitialized_params():
            self.in_features = self.weight.shape[1]  # loaded
            return
        self.in_features = input.shape[-1]
        cast(UninitializedParameter, self.weight).materialize((self.out_features, self.in_features))
        if self.bias is not None:
            cast(UninitializedParameter, self.bias).materialize((self.out_features,))
        self.reset_parameters()


class _LazyConv(LazyModuleMixin):
    """What lazy convolutions share: the first input tells ``in_channels``."""

    n: int
    transposed: ClassVar[bool] = False
    weight: Any
    bias: Any
    in_channels: int
    out_channels: int
    groups: int
    kernel_size: tuple[int, ...]

    def _forget(self, bias: bool, device: Any, dtype: Any) -> None:
        for name in ("weight", *(("bias",) if bias else ())):
            self.register_parameter(name, UninitializedParameter(device=device, dtype=dtype))
        self._wait()

    def reset_parameters(self) -> None:
        """Draws new first values, once there are any."""
        if not self.has_uninitialized_params() and self.in_channels:
            super().reset_parameters()  # type: ignore[misc]  # the convolution's

    def initialize_parameters(self, input: Tensor, *_: Any, **__: Any) -> None:
        if not self.has_uninitialized_params():  # loaded
            held = self.weight.shape[0 if self.transposed else 1]
            self.in_channels = held if self.transposed else held * self.groups
            return
        self.in_channels = _channels(self, input, self.n + 2, (self.n + 1, self.n + 2))
        if self.in_channels % self.groups:
            raise ValueError(f"in_channels {self.in_channels} must be divisible by groups {self.groups}")
        first, second = self.out_channels, self.in_channels // self.groups
        if self.transposed:
            first, second = self.in_channels, self.out_channels // self.groups
        self.weight.materialize((first, second, *self.kernel_size))
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class _LazyConvNd(_LazyConv):
    def __init__(
        self, out_channels: int, kernel_size: Ints, stride: Ints = 1, padding: Ints | str = 0, dilation: Ints = 1,
        groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(0, 0, kernel_size, stride, padding, dilation, 1, False, padding_mode)  # type: ignore[call-arg]
        self.out_channels, self.groups = out_channels, groups
        self._forget(bias, device, dtype)


class _LazyConvTransposeNd(_LazyConv):
    transposed = True

    def __init__(
        self, out_channels: int, kernel_size: Ints, stride: Ints = 1, padding: Ints = 0, output_padding: Ints = 0,
        groups: int = 1, bias: bool = True, dilation: Ints = 1, padding_mode: str = "zeros", device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(0, 0, kernel_size, stride, padding, output_padding, 1, False, dilation, padding_mode)  # type: ignore[call-arg]
        self.out_channels, self.groups = out_channels, groups
        self._forget(bias, device, dtype)


class _LazyNorm(LazyModuleMixin):
    """What lazy norms share: the first input tells ``num_features``."""

    dims: Any
    num_features: int

    def __init__(
        self, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool | None = None,
        track_running_stats: bool | None = None, device: Any = None, dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        batch = issubclass(type(self), (BatchNorm1d, BatchNorm2d, BatchNorm3d))
        affine = batch if affine is None else affine
        tracked = batch if track_running_stats is None else track_running_stats
        super().__init__(0, eps, momentum, False, False)  # type: ignore[call-arg]
        self.affine, self.track_running_stats = affine, tracked
        if affine:
            for name in ("weight", *(("bias",) if bias else ())):
                self.register_parameter(name, UninitializedParameter(device=device, dtype=dtype))
        if tracked:
            for name in ("running_mean", "running_var"):
                self.register_buffer(name, UninitializedBuffer(device=device, dtype=dtype))
            self.register_buffer("num_batches_tracked", wootz.tensor(0, dtype=wootz.int64, device=device))
        self._wait()

    def reset_parameters(self) -> None:
        """Sets the first values again, once there are any."""
        if not self.has_uninitialized_params() and self.num_features:
            super().reset_parameters()  # type: ignore[misc]  # the norm's

    def initialize_parameters(self, input: Tensor) -> None:
        held = [t for part in (self._parameters, self._buffers) for t in part.values() if t is not None and t.dim()]
        if not self.has_uninitialized_params() and held:
            self.num_features = held[0].shape[0]  # loaded
            return
        # A batch norm's input always has a batch; an instance norm's smallest one has none.
        self.num_features = _channels(self, input, input.dim() if self._always_batched else self.dims[-1], self.dims)
        for tensor in held:
            cast(UninitializedParameter, tensor).materialize((self.num_features,))
        self.reset_parameters()

    @property
    def _always_batched(self) -> bool:
        return isinstance(self, (BatchNorm1d, BatchNorm2d, BatchNorm3d))


class LazyConv1d(_LazyConvNd, Conv1d):
    """A `Conv1d` whose ``in_channels`` is that of its first input."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyConvNd, Conv2d):
    """A `Conv2d` whose ``in_channels`` is that of its first input."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyConvNd, Conv3d):
    """A `Conv3d` whose ``in_channels`` is that of its first input."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConvTransposeNd, ConvTranspose1d):
    """A `ConvTranspose1d` whose ``in_channels`` is that of its first input."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTransposeNd, ConvTranspose2d):
    """A `ConvTranspose2d` whose ``in_channels`` is that of its first input."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTransposeNd, ConvTranspose3d):
    """A `ConvTranspose3d` whose ``in_channels`` is that of its first input."""

    cls_to_become = ConvTranspose3d


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """A `BatchNorm1d` whose ``num_features`` is that of its first input."""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """A `BatchNorm2d` whose ``num_features`` is that of its first input."""

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """A `BatchNorm3d` whose ``num_features`` is that of its first input."""

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """An `InstanceNorm1d` whose ``num_features`` is that of its first input."""

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """An `InstanceNorm2d` whose ``num_features`` is that of its first input."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """An `InstanceNorm3d` whose ``num_features`` is that of its first input."""

    cls_to_become = InstanceNorm3d

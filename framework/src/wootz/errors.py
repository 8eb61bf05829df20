"""What wootz raises, beside Python's own IndexError, TypeError, ValueError and MemoryError."""

__all__ = [
    "BackendError", "CheckpointError", "DTypeError", "DeviceError", "GradientError", "KernelError", "LinAlgError",
    "OutOfMemoryError", "ShapeError", "StateDictError", "WootzError", "WorkerError",
]  # fmt: skip


class WootzError(Exception):
    """Anything this library refuses to do."""


class ShapeError(WootzError, RuntimeError, ValueError):
    """Shapes, strides or sizes do not fit together."""


class DTypeError(WootzError, RuntimeError, TypeError):
    """An element type is not supported here, or types do not fit together."""


class GradientError(WootzError, RuntimeError):
    """The tape cannot give the derivative that was asked for."""


class DeviceError(WootzError, RuntimeError):
    """Tensors are on different devices, or on one that does not exist."""


class BackendError(DeviceError, NotImplementedError):
    """No backend for the device is loaded, or the backend lacks the op; the message says what to install."""


class StateDictError(WootzError, RuntimeError):
    """A saved state does not fit the module or optimiser it is loaded into."""


class CheckpointError(WootzError, ValueError):
    """A file of weights is not what its format says, or tensors cannot be put into one."""


class WorkerError(WootzError, RuntimeError):
    """A worker process of a data loader died, did not answer in time, or failed in a way that cannot be passed on."""


class LinAlgError(WootzError, RuntimeError):
    """A matrix has not what was asked for: it is singular, not positive definite, or an iteration did not converge."""


class OutOfMemoryError(WootzError, MemoryError, RuntimeError):
    """A GPU has no memory left for a tensor; freeing some and trying again works."""


class KernelError(DeviceError):
    """A kernel failed on a GPU, whose context is lost: only a new process can use that GPU again."""

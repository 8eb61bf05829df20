"""What wootz raises, beside Python's own IndexError, TypeError, ValueError and MemoryError."""

__all__ = ["BackendError", "DTypeError", "DeviceError", "GradientError", "ShapeError", "WootzError"]


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

"""Where tensors can live, and what runs their ops there. The CPU's kernels are the core's own."""

from wootz.backend.diagnosis import Build, Diagnosis, Machine, judge
from wootz.backend.driver import Driver, Gpu, probe
from wootz.backend.null import NullBackend

__all__ = ["TENSOR_DEVICES", "Build", "Diagnosis", "Driver", "Gpu", "Machine", "NullBackend", "judge", "probe"]

# The device types that tensors can live on in this version.
TENSOR_DEVICES = ("cpu",)

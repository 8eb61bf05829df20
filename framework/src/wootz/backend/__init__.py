"""Where tensors can live, and what runs their ops there. The CPU's kernels are the core's own."""

from wootz.backend.current import active, create, diagnosis, run, use
from wootz.backend.diagnosis import Build, Diagnosis, Machine, judge
from wootz.backend.driver import Driver, Gpu, probe
from wootz.backend.null import NullBackend

__all__ = [
    "Build", "Diagnosis", "Driver", "Gpu", "Machine", "NullBackend", "active", "create", "diagnosis", "judge", "probe",
    "run", "use",
]  # fmt: skip

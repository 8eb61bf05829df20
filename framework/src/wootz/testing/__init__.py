"""Help for tests: comparing tensors, making them, and the database of ops."""

from wootz.testing.comparison import assert_close
from wootz.testing.making import make_tensor
from wootz.testing.opdb import Op, Sample, ops

__all__ = ["Op", "Sample", "assert_close", "make_tensor", "ops"]

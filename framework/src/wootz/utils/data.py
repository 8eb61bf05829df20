"""`wootz.data` where PyTorch has it: a script changes its import only."""

from wootz import data as _data
from wootz.data import *

__all__ = list(_data.__all__)

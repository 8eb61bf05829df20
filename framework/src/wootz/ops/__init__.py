"""Functions of tensors: those of the native table as they stand, and families written in Python.

A name stands once, in its family's ``__all__`` (a native op's in the table), and from there becomes ``wootz.<name>``.
"""

from typing import TYPE_CHECKING

from wootz import _core
from wootz._core import *
from wootz.ops import (
    complex_numbers,
    composite,
    contraction,
    copies,
    creation,
    cumulative,
    elementwise,
    geometry,
    indexing,
    matrices,
    memory,
    products,
    queries,
    random,
    sampling,
    settings,
    shaping,
    sorting,
    special,
    spectrogram,
    stacking,
    statistics,
    windows,
)
from wootz.ops.complex_numbers import *
from wootz.ops.composite import *
from wootz.ops.contraction import *
from wootz.ops.copies import *
from wootz.ops.creation import *
from wootz.ops.cumulative import *
from wootz.ops.elementwise import *
from wootz.ops.geometry import *
from wootz.ops.indexing import *
from wootz.ops.matrices import *
from wootz.ops.memory import *
from wootz.ops.products import *
from wootz.ops.queries import *
from wootz.ops.random import *
from wootz.ops.sampling import *
from wootz.ops.settings import *
from wootz.ops.shaping import *
from wootz.ops.sorting import *
from wootz.ops.special import *
from wootz.ops.spectrogram import *
from wootz.ops.stacking import *
from wootz.ops.statistics import *
from wootz.ops.windows import *

FAMILIES = (
    complex_numbers,
    composite,
    contraction,
    copies,
    creation,
    cumulative,
    elementwise,
    geometry,
    indexing,
    matrices,
    memory,
    products,
    queries,
    random,
    sampling,
    settings,
    shaping,
    sorting,
    special,
    spectrogram,
    stacking,
    statistics,
    windows,
)

if not TYPE_CHECKING:  # to a type checker a star import exports, and a computed __all__ would hide it
    __all__ = sorted({name for module in (_core, *FAMILIES) for name in module.__all__})

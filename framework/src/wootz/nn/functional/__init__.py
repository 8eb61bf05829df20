"""The functions behind the layers: no state, PyTorch's names and argument order; a family a file."""

from sys import modules as _modules
from typing import TYPE_CHECKING

from wootz.nn.functional.activation import *
from wootz.nn.functional.attention import *
from wootz.nn.functional.conv import *
from wootz.nn.functional.ctc import *
from wootz.nn.functional.distance import *
from wootz.nn.functional.dropout import *
from wootz.nn.functional.folding import *
from wootz.nn.functional.fractional import *
from wootz.nn.functional.interpolation import *
from wootz.nn.functional.linear import *
from wootz.nn.functional.loss import *
from wootz.nn.functional.multihead import *
from wootz.nn.functional.normalization import *
from wootz.nn.functional.padding import *
from wootz.nn.functional.pooling import *
from wootz.nn.functional.reduction import check_reduction as check_reduction
from wootz.nn.functional.regression import *
from wootz.nn.functional.sampling import *
from wootz.nn.functional.sparse import *

if not TYPE_CHECKING:  # to a type checker a star import exports, and a computed __all__ would hide it
    _FAMILIES = (
        "activation attention conv ctc distance dropout folding fractional interpolation linear loss multihead "
        "normalization padding pooling regression sampling sparse"
    )
    _NAMES = {name for f in _FAMILIES.split() for name in _modules[f"{__name__}.{f}"].__all__}
    __all__ = sorted({"check_reduction", *_NAMES})

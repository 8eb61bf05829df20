"""Tensors, automatic differentiation and neural networks, with PyTorch's names and semantics."""

from typing import TYPE_CHECKING

from wootz import _tensor as _joined  # joins the Python methods to Tensor
from wootz import autograd as autograd
from wootz import dtypes, ops
from wootz._build import version as __version__
from wootz._core import Tensor as Tensor
from wootz._core import get_num_threads as get_num_threads
from wootz._core import set_num_threads as set_num_threads
from wootz._interop import from_dlpack as from_dlpack
from wootz._repr import get_printoptions as get_printoptions
from wootz._repr import printoptions as printoptions
from wootz._repr import set_printoptions as set_printoptions
from wootz.autograd import grad_mode
from wootz.autograd.grad_mode import *
from wootz.device import Device as Device
from wootz.device import Device as device
from wootz.dtypes import *
from wootz.ops import *

# These build on the names above. One a line: what is added to such lists at the same time stays apart.
from wootz import cuda as cuda  # isort: skip
from wootz import data as data  # isort: skip
from wootz import linalg as linalg  # isort: skip
from wootz import nn as nn  # isort: skip
from wootz import optim as optim  # isort: skip
from wootz import serialize as serialize  # isort: skip
from wootz import amp as amp  # isort: skip
from wootz import fft as fft  # isort: skip
from wootz import func as func  # isort: skip
from wootz import special as special  # isort: skip
from wootz import testing as testing  # isort: skip
from wootz import utils as utils  # isort: skip
from wootz import array_api as array_api  # isort: skip
from wootz.amp.autocast import autocast as autocast  # isort: skip
from wootz.amp.autocast import clear_autocast_cache as clear_autocast_cache  # isort: skip
from wootz.amp.autocast import get_autocast_dtype as get_autocast_dtype  # isort: skip
from wootz.amp.autocast import is_autocast_cache_enabled as is_autocast_cache_enabled  # isort: skip
from wootz.amp.autocast import is_autocast_enabled as is_autocast_enabled  # isort: skip
from wootz.func import vmap as vmap  # isort: skip
from wootz.nn.functional.root import *  # isort: skip
from wootz.serialize import load as load, save as save  # isort: skip

if not TYPE_CHECKING:  # to a type checker a star import exports, and a computed __all__ would hide it
    # What has no family that lists it: an op stands in its family alone.
    _OWN = [
        "Device",
        "Tensor",
        "__version__",
        "amp",
        "array_api",
        "autocast",
        "autograd",
        "clear_autocast_cache",
        "cuda",
        "data",
        "device",
        "fft",
        "from_dlpack",
        "func",
        "get_autocast_dtype",
        "get_num_threads",
        "get_printoptions",
        "is_autocast_cache_enabled",
        "is_autocast_enabled",
        "linalg",
        "load",
        "nn",
        "ops",
        "optim",
        "printoptions",
        "save",
        "serialize",
        "set_num_threads",
        "set_printoptions",
        "special",
        "testing",
        "utils",
        "vmap",
    ]
    __all__ = sorted({*_OWN, *dtypes.__all__, *grad_mode.__all__, *ops.__all__, *nn.functional.root.__all__})

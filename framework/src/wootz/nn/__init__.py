"""Layers, activations, losses and containers, with PyTorch's names; a family a file."""

from sys import modules as _modules
from typing import TYPE_CHECKING

from wootz.nn import functional as functional
from wootz.nn import init as init
from wootz.nn import utils as utils
from wootz.nn.activation import *
from wootz.nn.adaptive import *
from wootz.nn.attention import *
from wootz.nn.containers import *
from wootz.nn.conv import *
from wootz.nn.distance import *
from wootz.nn.dropout import *
from wootz.nn.embedding import *
from wootz.nn.layers import *
from wootz.nn.lazy import *
from wootz.nn.loss import *
from wootz.nn.module import *
from wootz.nn.normalization import *
from wootz.nn.padding import *
from wootz.nn.parameter import *
from wootz.nn.parameters import *
from wootz.nn.pooling import *
from wootz.nn.recurrent import *
from wootz.nn.transformer import *
from wootz.nn.upsampling import *

if not TYPE_CHECKING:  # to a type checker a star import exports, and a computed __all__ would hide it
    _FAMILIES = (
        "activation adaptive attention containers conv distance dropout embedding layers lazy loss module "
        "normalization padding parameter parameters pooling recurrent transformer upsampling"
    )
    _NAMES = {name for f in _FAMILIES.split() for name in _modules[f"{__name__}.{f}"].__all__}
    __all__ = sorted({"functional", "init", "utils", *_NAMES})

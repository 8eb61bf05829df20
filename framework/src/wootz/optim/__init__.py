"""Optimisers and learning-rate schedules, with PyTorch's names."""

from wootz.optim import lr_scheduler, swa_utils
from wootz.optim.adafactor import Adafactor
from wootz.optim.adam import Adam, AdamW
from wootz.optim.adam_family import Adamax, NAdam, RAdam
from wootz.optim.adaptive import Adadelta, Adagrad, RMSprop
from wootz.optim.asgd import ASGD
from wootz.optim.lbfgs import LBFGS
from wootz.optim.muon import Muon
from wootz.optim.optimizer import Optimizer
from wootz.optim.sgd import SGD
from wootz.optim.signs import Lion, Rprop

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Muon", "NAdam",
    "Optimizer", "RAdam", "RMSprop", "Rprop", "lr_scheduler", "swa_utils",
]  # fmt: skip

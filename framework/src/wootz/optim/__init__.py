"""Optimisers and learning-rate schedules."""

from wootz.optim import lr_scheduler
from wootz.optim.adam import Adam, AdamW
from wootz.optim.optimizer import Optimizer
from wootz.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]

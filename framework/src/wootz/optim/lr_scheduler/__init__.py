"""Learning rates over time, with PyTorch's names: each `step` moves on by one and sets the rates."""

from wootz.optim.lr_scheduler.base import LRScheduler
from wootz.optim.lr_scheduler.compose import ChainedScheduler, SequentialLR
from wootz.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from wootz.optim.lr_scheduler.cycles import CyclicLR, OneCycleLR
from wootz.optim.lr_scheduler.factors import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from wootz.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR",
    "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR",
    "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip

"""Automatic differentiation: gradients, the tape's switches, functions with a derivative of their own, and checks."""

from wootz.autograd import function, functional, graph
from wootz.autograd.anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from wootz.autograd.function import Function
from wootz.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from wootz.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck
from wootz.autograd.gradient import backward, grad

__all__ = [
    "Function", "GradcheckError", "backward", "detect_anomaly", "enable_grad", "function", "functional", "grad",
    "gradcheck", "gradgradcheck", "graph", "inference_mode", "is_anomaly_enabled", "is_grad_enabled",
    "is_inference_mode_enabled", "no_grad", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip

"""Automatic differentiation: gradients, the tape's switches, functions with a derivative of their own, and checks."""

from wootz.autograd.function import Function
from wootz.autograd.grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from wootz.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck
from wootz.autograd.gradient import backward, grad

__all__ = [
    "Function", "GradcheckError", "backward", "enable_grad", "grad", "gradcheck", "gradgradcheck", "inference_mode",
    "is_grad_enabled", "no_grad", "set_grad_enabled",
]  # fmt: skip

"""`wootz.func.functional_call` where PyTorch had it first."""

from wootz.func import functional_call

__all__ = ["functional_call"]

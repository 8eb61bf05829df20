"""Training in low precision."""

from wootz.amp.grad_scaler import GradScaler

__all__ = ["GradScaler"]

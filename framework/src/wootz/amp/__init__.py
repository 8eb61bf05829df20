"""Training in low precision."""

from wootz.amp.autocast import (
    autocast,
    custom_bwd,
    custom_fwd,
    is_autocast_available,
)
from wootz.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

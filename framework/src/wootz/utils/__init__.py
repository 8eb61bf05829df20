"""Tools around training: recomputing activations."""

from wootz.utils import checkpoint

__all__ = ["checkpoint"]

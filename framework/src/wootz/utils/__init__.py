"""Tools around training: recomputing activations, and loading data where PyTorch has it."""

from wootz.utils import checkpoint, data

__all__ = ["checkpoint", "data"]

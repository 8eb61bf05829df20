"""Saving and loading tensors."""

from wootz.serialize.files import load, save

__all__ = ["load", "save"]

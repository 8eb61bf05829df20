"""Saving and loading tensors, and everything that training goes on from. Nothing here runs code from a file."""

from wootz.serialize.checkpoint import load_checkpoint, save_checkpoint
from wootz.serialize.objects import load, save
from wootz.serialize.pt import load_pt
from wootz.serialize.sharded import load_sharded

__all__ = ["load", "load_checkpoint", "load_pt", "load_sharded", "save", "save_checkpoint"]

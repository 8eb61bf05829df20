"""Rules of the families of ops that are not point-wise: importing this enters them (see `wootz.func.batching`)."""

from wootz.func.rules import along, indexing, layers

__all__ = ["along", "indexing", "layers"]

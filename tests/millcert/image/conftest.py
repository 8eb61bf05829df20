"""Two images, built once a session from the machine's own store: one for the CPU, one in CUDA's layers."""

from tests.support.images import gallery

__all__ = ["gallery"]

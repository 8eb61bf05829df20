"""Images built once a session from the machine's own store: a sample's, for the CPU and CUDA, and wootz's."""

from tests.support.images import gallery
from tests.support.wootz_image import wootz_image

__all__ = ["gallery", "wootz_image"]

"""Fixtures that the attacks on images, and those on installing, share."""

from tests.support.images import gallery
from tests.support.installing import site, stall

__all__ = ["gallery", "site", "stall"]

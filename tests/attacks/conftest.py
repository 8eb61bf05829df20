"""Fixtures that the attacks on images share."""

from tests.support.images import gallery

__all__ = ["gallery"]

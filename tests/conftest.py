"""Fixtures that several folders of tests share."""

from tests.support.hermetic import lab, warm_store

__all__ = ["lab", "warm_store"]

"""Fixtures that several folders of tests share."""

from hypothesis import HealthCheck, settings
from tests.support.hermetic import lab, warm_store

__all__ = ["lab", "warm_store"]

# how quickly inputs come says how busy the machine is, and nothing of what is tested
settings.register_profile("machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("machine")

"""Fixtures that several folders of tests share."""

import signal

from hypothesis import HealthCheck, settings
from tests.support.hermetic import lab, warm_store

__all__ = ["lab", "warm_store"]

# how quickly inputs come says how busy the machine is, and nothing of what is tested
settings.register_profile("machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("machine")

# a shell's background job ignores Ctrl-C and so would the processes that tests interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

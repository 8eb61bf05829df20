"""Finding the op whose derivative goes wrong."""

from __future__ import annotations

import traceback

from wootz import _core

__all__ = ["detect_anomaly", "is_anomaly_check_nan_enabled", "is_anomaly_enabled", "set_detect_anomaly"]

_state = (False, True)


def _where() -> str:
    """The stack of whoever called the op, as Python prints it."""
    return "".join(traceback.format_stack()[:-1])


def _set(mode: bool, check_nan: bool) -> tuple[bool, bool]:
    global _state
    before, _state = _state, (bool(mode), bool(check_nan))
    _core.set_anomaly(_where if mode else None, check_nan)
    return before


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on."""
    return _state[0]


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode looks for NaN."""
    return _state[1]


class set_detect_anomaly:
    """Switches anomaly mode at once, for all threads; as a context manager, puts it back at the end.

    While it is on, every op remembers where it was called (slow: for debugging only). An error in its derivative says
    so, and with ``check_nan`` a gradient that holds NaN is an error.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = _set(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        _set(*self._before)


class detect_anomaly:
    """Anomaly mode inside: see `set_detect_anomaly`."""

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan

    def __enter__(self) -> None:
        self._before = _set(True, self.check_nan)

    def __exit__(self, *exc: object) -> None:
        _set(*self._before)

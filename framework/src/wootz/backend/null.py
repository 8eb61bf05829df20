"""The backend of a device that is not here: every op is an error that says why and what to install."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from wootz.backend.diagnosis import Diagnosis
from wootz.errors import BackendError

__all__ = ["NullBackend"]


class NullBackend:
    """Stands in for CUDA where it cannot be used."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis

    def run(self, op: str, arguments: Sequence[Any]) -> NoReturn:
        """Raises `BackendError`, whatever the op."""
        hint = f"; next: {self.diagnosis.command}" if self.diagnosis.command else ""
        raise BackendError(f"{op}: no CUDA device can be used: {self.diagnosis.reason}{hint}")

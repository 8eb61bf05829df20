"""What can go wrong with a key or a ceremony."""

from __future__ import annotations

from typing import ClassVar

from millcert.errors import MillcertError

__all__ = ["CeremonyError", "KeyRefusedError", "UnsignedError"]


class KeyRefusedError(MillcertError):
    """A key cannot be read, opened or used: wrong password, altered document, absent token, failing agent."""

    exit_code: ClassVar[int] = 18


class CeremonyError(MillcertError):
    """A change of roles or keys that would leave the index unsafe or unusable; nothing was changed."""

    exit_code: ClassVar[int] = 19


class UnsignedError(CeremonyError):
    """Metadata lacks signatures of enough distinct, authorised keys."""

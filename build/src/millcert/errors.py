"""Every error millcert raises on purpose: one class a cause, one exit code a class, evidence as fields.

A layer that needs a finer cause subclasses one of these and keeps its exit code.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BuildError",
    "ConfigError",
    "ConfusionError",
    "DiskFullError",
    "FetchError",
    "HashMismatchError",
    "LimitError",
    "LockError",
    "MillcertError",
    "NotReproducibleError",
    "ProgramError",
    "PublishError",
    "SandboxError",
    "StoreError",
    "UnsafeArchiveError",
    "UsageError",
    "VerificationError",
]


class MillcertError(Exception):
    """Base of all expected failures.

    ``message`` says what is wrong, ``evidence`` holds what was expected and found as named strings,
    ``fix`` is the next command or step for the person who reads it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, fix: str = "", **evidence: object) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.evidence = {key: str(value) for key, value in evidence.items() if value is not None}

    def __str__(self) -> str:
        lines = [self.message]
        lines += [f"  {key.replace('_', ' ')}: {value}" for key, value in self.evidence.items()]
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, object]:
        """The error for ``--json``: class, message, evidence, fix and exit code."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "evidence": self.evidence,
            "fix": self.fix,
            "exit_code": self.exit_code,
        }


class UsageError(MillcertError):
    """The command line asks for something that does not exist (an unknown variant, say)."""

    exit_code = 2


class ConfigError(MillcertError):
    """A file of the project (targets.toml, native.toml, a policy) is not what it should be."""

    exit_code = 3


class LockError(MillcertError):
    """A lock is missing, stale, or holds something that must never be locked."""

    exit_code = 4


class FetchError(MillcertError):
    """A pinned file could not be brought: absent, unavailable, or the connection failed."""

    exit_code = 5


class HashMismatchError(MillcertError):
    """Bytes are not the bytes their digest promises."""

    exit_code = 6


class StoreError(MillcertError):
    """The store cannot be read or written."""

    exit_code = 7


class DiskFullError(StoreError):
    """No space is left where millcert writes."""

    exit_code = 8


class SandboxError(MillcertError):
    """The sandbox could not be made (bubblewrap missing or refused by the kernel)."""

    exit_code = 9


class BuildError(MillcertError):
    """A build step failed inside the sandbox."""

    exit_code = 10


class LimitError(BuildError):
    """A build step reached a limit of targets.toml: wall time, memory, processes or output size."""

    exit_code = 11


class ProgramError(BuildError):
    """The program of a build step is not in the sandbox, or cannot be run there."""


class NotReproducibleError(MillcertError):
    """The same derivation gave different bytes."""

    exit_code = 12


class UnsafeArchiveError(MillcertError):
    """An archive (wheel, .deb, layer) holds an entry that must not be unpacked."""

    exit_code = 13


class VerificationError(MillcertError):
    """A signature, attestation, identity or policy check refused a file."""

    exit_code = 14


class ConfusionError(MillcertError):
    """An owned name was found, or would be taken, from an index that does not own it."""

    exit_code = 15


class PublishError(MillcertError):
    """A publication was refused; the index is as it was before."""

    exit_code = 16

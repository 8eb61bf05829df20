"""Why an installation was refused; in every case nothing was installed."""

from __future__ import annotations

from millcert.errors import ConfigError, FetchError, MillcertError, UnsafeArchiveError, VerificationError

__all__ = [
    "AnchorError",
    "CooldownError",
    "EnvironmentRefusedError",
    "EvidenceError",
    "HostileWheelError",
    "IndexRefusedError",
    "RatchetError",
    "ResolutionError",
    "StaleIndexError",
    "StateDamagedError",
    "UnreachableIndexError",
]


class AnchorError(ConfigError):
    """The first root, or the floor that belongs to it, is missing or is not one."""


class UnreachableIndexError(FetchError):
    """The index gave no answer, so what is newest is not known; nothing older is taken instead."""


class IndexRefusedError(VerificationError):
    """Metadata or a page of the index does not verify from the root."""


class StaleIndexError(VerificationError):
    """The index is older than the floor or than what was seen before, or its time has run out."""


class EvidenceError(VerificationError):
    """What a page pins beside a wheel is missing, or contradicts the wheel or the signed statement."""


class RatchetError(VerificationError):
    """A project lost its attestation, a builder, or changed who signs it, since it was seen first."""


class CooldownError(VerificationError):
    """No release was logged long enough ago."""


class HostileWheelError(UnsafeArchiveError):
    """A wheel that two readers could read differently, or that writes what it does not declare."""


class ResolutionError(VerificationError):
    """The verified pages and the lock offer no complete set of wheels for this environment."""


class StateDamagedError(VerificationError):
    """The state of this machine was altered; it is never started anew silently, since that would forget."""


class EnvironmentRefusedError(MillcertError):
    """The Python environment cannot be asked or its pip did not install the verified files."""

    exit_code = 20

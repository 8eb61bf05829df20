"""What can be wrong with an image, finer than millcert's own classes and with their exit codes."""

from __future__ import annotations

from millcert.errors import LimitError, PublishError, VerificationError

__all__ = ["BudgetError", "DigestError", "ReferrerError", "RegistryError"]


class BudgetError(LimitError):
    """A layer or an image weighs more than targets.toml allows."""


class RegistryError(PublishError):
    """A registry refused, could not be reached, or broke off; no tag was moved."""


class DigestError(VerificationError):
    """A registry answered with bytes, or a digest, other than those asked for."""


class ReferrerError(VerificationError):
    """What should refer to an image (signature, SBOM, provenance) is missing or is about something else."""

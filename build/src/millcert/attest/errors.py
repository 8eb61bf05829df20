"""Refusals of the attestation layer, one class for each thing that can be wrong.

All refusals of a file share VerificationError's exit code; a refusal or failure to sign has its own.
"""

from __future__ import annotations

from typing import ClassVar

from millcert.errors import MillcertError, VerificationError

__all__ = [
    "BundleError",
    "CertificateError",
    "IdentityRefusedError",
    "LogEntryError",
    "ProvenanceRefusedError",
    "QuorumError",
    "SctError",
    "SignatureError",
    "SigningError",
    "StatementError",
    "SubjectMismatchError",
    "TimeError",
    "TrustRootError",
    "printable",
]

_LONGEST = 200


def printable(text: object) -> str:
    """Text from outside, made safe for a terminal: control characters escaped, cut at 200 characters."""
    line = str(text)
    if not line.isprintable():
        line = line.encode("unicode_escape").decode()
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


class TrustRootError(VerificationError):
    """The trusted root is missing, malformed, or not the bytes that were shipped."""


class BundleError(VerificationError):
    """There is no bundle, or it is not a well-formed Sigstore bundle v0.3."""


class StatementError(VerificationError):
    """The signed payload is not an in-toto statement that millcert is willing to read."""


class TimeError(VerificationError):
    """No trustworthy time says when the signature was made."""


class CertificateError(VerificationError):
    """The signing certificate does not chain to the trusted root at the time of signing."""


class SctError(VerificationError):
    """The signing certificate lacks a valid promise from a trusted certificate transparency log."""


class LogEntryError(VerificationError):
    """The transparency log entry is not proven, not signed by a trusted log, or not about this bundle."""


class SignatureError(VerificationError):
    """The signature is not the certificate's key over this payload."""


class IdentityRefusedError(VerificationError):
    """The bundle is signed by somebody whom the policy does not name."""


class ProvenanceRefusedError(VerificationError):
    """The statement is signed by the right identity, but its content is not what the policy demands."""


class SubjectMismatchError(VerificationError):
    """The statement is about other bytes, or about a file with another name."""


class QuorumError(VerificationError):
    """Fewer distinct builders than the policy demands attest this digest."""


class SigningError(MillcertError):
    """millcert will not, or could not, sign a file; nothing was written for it."""

    exit_code: ClassVar[int] = 17

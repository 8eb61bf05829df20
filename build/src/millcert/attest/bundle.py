"""A Sigstore bundle v0.3, read strictly, with the few facts that millcert itself judges by.

Everything here is claimed, not verified: ``verify`` has sigstore-python check it.
Specification: sigstore protobuf-specs, sigstore_bundle.proto.
"""

from __future__ import annotations

import base64
import bisect
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millcert.attest.claims import Claims, claims_of
from millcert.attest.errors import BundleError, CertificateError, SctError, TimeError, printable
from millcert.attest.statement import MAX_STATEMENT
from millcert.attest.strictjson import NotStrictError, parse

if TYPE_CHECKING:
    from cryptography import x509
    from rfc3161_client import TimeStampResponse
    from sigstore.models import Bundle

__all__ = ["MAX_BUNDLE", "SUFFIX", "BundleFinder", "ClaimedBundle", "read_bundle"]

SUFFIX = ".sigstore.json"
MAX_BUNDLE = 2 * MAX_STATEMENT  # the statement in base64, and room for the rest
_V03 = "application/vnd.dev.sigstore.bundle.v0.3+json"
_IN_TOTO = "application/vnd.in-toto+json"
_MOST_TIMESTAMPS = 32


@dataclass(frozen=True)
class ClaimedBundle:
    """What a bundle says; ``library`` is sigstore-python's own reading of the same bytes."""

    library: Bundle
    certificate: x509.Certificate
    claims: Claims
    payload: bytes
    log_id: bytes
    log_index: int
    log_kind: str
    signature: bytes
    integrated: datetime | None
    stamps: tuple[TimeStampResponse, ...]

    @property
    def times(self) -> tuple[datetime, ...]:
        """Every time anybody put on the signature: time-stamps, then the log's own."""
        stamped = tuple(stamp.tst_info.gen_time for stamp in self.stamps)
        return (*stamped, *((self.integrated,) if self.integrated else ()))

    @property
    def sct_times(self) -> tuple[datetime, ...]:
        """When certificate transparency logs promised to log the certificate."""
        from cryptography import x509

        kind = x509.PrecertificateSignedCertificateTimestamps
        try:
            promises = self.certificate.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            raise SctError(
                "the certificate carries no promise (SCT) from a certificate transparency log",
                fix="sign again: a certificate of Fulcio's always has one",
            ) from None
        return tuple(promise.timestamp.replace(tzinfo=UTC) for promise in promises)


class BundleFinder:
    """Finds the bundles that lie beside files; each folder is read once, however many of its files are asked for."""

    def __init__(self) -> None:
        self._listings: dict[Path, list[str]] = {}

    def beside(self, path: Path) -> list[Path]:
        """A file's own bundle ``NAME.sigstore.json``, then ``NAME.<builder>.sigstore.json``; no label has a dot."""
        if path.parent not in self._listings:
            self._listings[path.parent] = sorted(other.name for other in path.parent.iterdir())
        listing, prefix = self._listings[path.parent], f"{path.name}."
        first = bisect.bisect_left(listing, prefix)
        names = itertools.takewhile(lambda name: name.startswith(prefix), itertools.islice(listing, first, None))
        labels = {name: name[len(prefix) : -len(SUFFIX)] for name in names if name.endswith(SUFFIX)}
        own = [path.name + SUFFIX] if path.name + SUFFIX in labels else []
        others = [name for name, label in labels.items() if label and "." not in label]
        return [path.with_name(name) for name in own + others]


def read_bundle(data: bytes) -> ClaimedBundle:
    """A bundle from bytes nobody vouches for; BundleError says what is wrong with its form.

    Only v0.3 with one DSSE envelope of an in-toto statement, one signature and one log entry is read.
    """
    document = _document(data)
    if document.get("mediaType") != _V03:
        raise BundleError("not a Sigstore bundle v0.3", expected=_V03, found=printable(document.get("mediaType")))
    try:
        payload, signature = _enveloped(document["dsseEnvelope"])
        material = document["verificationMaterial"]
        (entry,) = material["tlogEntries"]
        kind = entry["kindVersion"]
        stamps = material.get("timestampVerificationData", {}).get("rfc3161Timestamps", [])
        log_id = base64.b64decode(entry["logId"]["keyId"], validate=True)
        log_index, log_kind = int(entry["logIndex"]), f"{kind['kind']} {kind['version']}"
        integrated = _integrated(entry)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        raise BundleError("the bundle lacks a part, or a part has the wrong form", reason=printable(error)) from None
    library = _library(data)
    certificate = library.signing_certificate
    return ClaimedBundle(
        library, certificate, _claims(certificate), payload,
        log_id, log_index, log_kind, signature, integrated, _stamps(stamps),
    )  # fmt: skip


def _enveloped(envelope: dict[str, Any]) -> tuple[bytes, bytes]:
    """The payload and the one signature of a DSSE envelope."""
    if envelope["payloadType"] != _IN_TOTO:
        raise BundleError(
            "the bundle does not hold an in-toto statement",
            expected=_IN_TOTO, found=printable(envelope["payloadType"]),
        )  # fmt: skip
    (signature,) = envelope["signatures"]
    return base64.b64decode(envelope["payload"], validate=True), base64.b64decode(signature["sig"], validate=True)


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = parse(data, limit=MAX_BUNDLE)
    except NotStrictError as error:
        raise BundleError("the bundle is not strict JSON", reason=printable(error)) from None
    if not isinstance(document, dict):
        raise BundleError("the bundle is not a JSON object", found=type(document).__name__)
    if alias := _alias(document):
        raise BundleError("a field of the bundle is not under its JSON name", found=printable(alias))
    return document


def _alias(value: object) -> str | None:
    """A key in protobuf's own spelling: the library reads it as the camel-case field, so there could be two."""
    if isinstance(value, dict):
        return next((key for key in value if "_" in key), None) or _alias(list(value.values()))
    if isinstance(value, list):
        return next(filter(None, map(_alias, value)), None)
    return None


def _library(data: bytes) -> Bundle:
    from sigstore.models import Bundle

    try:
        return Bundle.from_json(data)
    except Exception as error:  # parsers of hostile bytes raise what they like
        raise BundleError("sigstore refuses the bundle's form", reason=printable(error)) from error


def _claims(certificate: x509.Certificate) -> Claims:
    try:
        return claims_of(certificate)
    except CertificateError:
        raise
    except Exception as error:  # cryptography parses extensions when first asked, and not all it raises is a ValueError
        raise CertificateError("the certificate's extensions are malformed", reason=printable(error)) from error


def _integrated(entry: dict[str, Any]) -> datetime | None:
    """The log's own time, which counts only under a promise (a signed entry timestamp)."""
    seconds = int(entry.get("integratedTime", 0))
    if not seconds or not entry.get("inclusionPromise"):
        return None
    return datetime.fromtimestamp(seconds, tz=UTC)


def _stamps(stamps: list[Any]) -> tuple[TimeStampResponse, ...]:
    from rfc3161_client import decode_timestamp_response

    if len(stamps) > _MOST_TIMESTAMPS:
        raise TimeError("too many time-stamps", found=len(stamps), most=_MOST_TIMESTAMPS)
    try:
        raw = [base64.b64decode(stamp["signedTimestamp"], validate=True) for stamp in stamps]
        decoded = tuple(decode_timestamp_response(one) for one in raw)
        if any(stamp.tst_info.gen_time.tzinfo is None for stamp in decoded):
            raise ValueError("a time without a zone")
    except Exception as error:  # parsers of hostile bytes raise what they like
        raise TimeError("a time-stamp cannot be read", reason=printable(error)) from None
    return decoded

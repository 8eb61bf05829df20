"""The trusted root: which authorities and logs are believed, and when.

It comes from bytes shipped in this package (the public-good instance), from a file named on the command
line, or from a client trust configuration. It never comes from sigstore-python's cache: whoever can write
there could have any forged authority believed.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millcert.attest.errors import (
    CertificateError,
    LogEntryError,
    SctError,
    TimeError,
    TrustRootError,
    printable,
)
from millcert.attest.strictjson import NotStrictError, parse
from millcert.model import Digest, canonical_json, digest_of

if TYPE_CHECKING:
    from cryptography import x509
    from rfc3161_client import TimeStampResponse
    from sigstore.verify import Verifier

__all__ = [
    "PUBLIC_GOOD_SHA256",
    "TrustRoot",
    "parse_trusted_root",
    "public_good",
    "read_trust_config",
    "read_trusted_root",
]

PUBLIC_GOOD_SHA256 = "6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66"
_PUBLIC_GOOD = "sigstore-public-good.json"
_TRUST_CONFIG = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
_TRUSTED_ROOT = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
_MAX_ROOT = 4 << 20


@dataclass(frozen=True, eq=False)
class TrustRoot:
    """A trusted root as a document, with where it came from and the sha256 of the bytes it was read from."""

    document: Mapping[str, Any]
    source: str
    digest: Digest

    def verifier_at(self, log_id: bytes, times: Collection[datetime], sct_times: Collection[datetime]) -> Verifier:
        """A sigstore verifier that believes only what this root vouched for at these times.

        sigstore-python goes on believing authorities and keys whose ``validFor`` has ended, and tries every
        log's key whatever log an entry names; the root is therefore cut down before it is asked.
        Raises LogEntryError, CertificateError or SctError where it vouched for no such log or authority.
        """
        moments = sorted(set(times))
        logs = self._valid("tlogs", moments)
        named = tuple(index for index in logs if _log_id(self._entries("tlogs")[index]) == log_id)
        if not named:
            raise LogEntryError(
                "the entry is in a log that the trusted root does not vouch for at that time",
                log_id=log_id.hex(), times=", ".join(map(str, moments)), trusted_root=self.source,
            )  # fmt: skip
        authorities = self._valid("certificateAuthorities", moments)
        if not authorities:
            raise CertificateError(
                "the trusted root vouches for no certificate authority at that time",
                times=", ".join(map(str, moments)), trusted_root=self.source,
            )  # fmt: skip
        ctlogs = self._valid("ctlogs", sorted(set(sct_times)))
        if not ctlogs:
            raise SctError(
                "the trusted root vouches for no certificate transparency log at that time",
                times=", ".join(map(str, sct_times)), trusted_root=self.source,
            )  # fmt: skip
        return self._verifier(named, authorities, ctlogs)

    def check_stamp(self, stamp: TimeStampResponse, signature: bytes) -> None:
        """TimeError unless an authority of this root, valid at the time it names, put this stamp on the signature.

        sigstore-python passes over stamps it cannot verify; here each one must be good, since its time is evidence.
        """
        time = stamp.tst_info.gen_time
        for index in self._valid("timestampAuthorities", [time]):
            if _stamped_by(self._chain(index), stamp, signature):
                return
        raise TimeError(
            "a time-stamp is not from an authority that the trusted root vouches for, or not over this signature",
            time=time, trusted_root=self.source,
        )  # fmt: skip

    @functools.lru_cache(maxsize=64)  # noqa: B019 - a root lives as long as the process that verifies with it
    def _chain(self, index: int) -> tuple[x509.Certificate, ...]:
        """The certificates of a time-stamping authority, leaf first."""
        from cryptography import x509

        try:
            listed = self._entries("timestampAuthorities")[index]["certChain"]["certificates"]
            return tuple(x509.load_der_x509_certificate(base64.b64decode(one["rawBytes"])) for one in listed)
        except (KeyError, TypeError, ValueError) as error:
            raise TrustRootError(
                "a time-stamping authority of the trusted root cannot be read",
                reason=printable(error), trusted_root=self.source,
            ) from error  # fmt: skip

    def _valid(self, name: str, moments: list[datetime]) -> tuple[int, ...]:
        """The indices of the entries whose period covers every moment."""
        return tuple(index for index, entry in enumerate(self._entries(name)) if _covers(_period(name, entry), moments))

    def _entries(self, name: str) -> list[dict[str, Any]]:
        entries = self.document.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise TrustRootError(f"`{name}` of the trusted root is not a list of objects", trusted_root=self.source)
        return entries

    @functools.lru_cache(maxsize=64)  # noqa: B019 - a root lives as long as the process that verifies with it
    def _verifier(self, logs: tuple[int, ...], authorities: tuple[int, ...], ctlogs: tuple[int, ...]) -> Verifier:
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier
        from sigstore_models.trustroot.v1 import TrustedRoot as Model

        kept = {"tlogs": logs, "certificateAuthorities": authorities, "ctlogs": ctlogs}
        narrowed = {name: [self._entries(name)[index] for index in indices] for name, indices in kept.items()}
        document = {**self.document, **narrowed}
        try:
            return Verifier(trusted_root=TrustedRoot(Model.from_json(canonical_json(document))))
        except Exception as error:  # the library raises what it likes for a root it cannot use
            raise TrustRootError(
                "the trusted root cannot be used for this bundle",
                reason=printable(error), trusted_root=self.source,
                authorities=len(authorities), certificate_logs=len(ctlogs),
            ) from error  # fmt: skip


def public_good() -> TrustRoot:
    """The root of the public-good instance, from the bytes this package was released with."""
    data = resources.files("millcert").joinpath("data", _PUBLIC_GOOD).read_bytes()
    if (found := digest_of(data)) != PUBLIC_GOOD_SHA256:
        raise TrustRootError(
            "the trusted root shipped with millcert was altered",
            expected=PUBLIC_GOOD_SHA256, found=found, fix="reinstall millcert, or name a root with --trusted-root",
        )  # fmt: skip
    return _root(_parse(data, _PUBLIC_GOOD), "the public-good root shipped with millcert", data)


def read_trusted_root(path: Path) -> TrustRoot:
    """A trusted root from a file."""
    return parse_trusted_root(_read(path), str(path))


def parse_trusted_root(data: bytes, source: str) -> TrustRoot:
    """A trusted root from its bytes; ``source`` says in errors and reports where they are from."""
    return _root(_parse(data, source), source, data)


def read_trust_config(path: Path) -> TrustRoot:
    """The trusted root inside a client trust configuration."""
    data = _read(path)
    document = _parse(data, str(path))
    if document.get("mediaType") != _TRUST_CONFIG:
        raise TrustRootError("not a client trust configuration", file=path, expected=_TRUST_CONFIG)
    inner = document.get("trustedRoot")
    return _root(inner if isinstance(inner, dict) else {}, str(path), data)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TrustRootError("the trusted root cannot be read", file=path, reason=error.strerror) from error


def _parse(data: bytes, source: str) -> dict[str, Any]:
    try:
        document = parse(data, limit=_MAX_ROOT)
    except NotStrictError as error:
        raise TrustRootError("the trusted root is not strict JSON", file=source, reason=printable(error)) from None
    if not isinstance(document, dict):
        raise TrustRootError("the trusted root is not a JSON object", file=source)
    return document


def _root(document: dict[str, Any], source: str, data: bytes) -> TrustRoot:
    if document.get("mediaType") != _TRUSTED_ROOT:
        raise TrustRootError(
            "not a Sigstore trusted root",
            file=source, expected=_TRUSTED_ROOT, found=printable(document.get("mediaType")),
        )  # fmt: skip
    return TrustRoot(document, source, digest_of(data))


def _period(name: str, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    holder = entry if name.endswith("Authorities") else entry.get("publicKey")
    period = holder.get("validFor") if isinstance(holder, dict) else None
    if not isinstance(period, dict):
        raise TrustRootError(f"an entry of `{name}` does not say when it is valid")
    return period


def _covers(period: Mapping[str, Any], moments: list[datetime]) -> bool:
    """Whether every moment is within the period; one that never began covers nothing."""
    try:
        start = datetime.fromisoformat(period["start"])
        end = datetime.fromisoformat(period["end"]) if period.get("end") else None
        return all(start <= moment and (end is None or moment <= end) for moment in moments)
    except (KeyError, ValueError, TypeError) as error:
        raise TrustRootError("a validity period of the trusted root cannot be read", reason=error) from error


def _log_id(entry: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(entry["logId"]["keyId"], validate=True)
    except (KeyError, ValueError, TypeError) as error:
        raise TrustRootError("a log of the trusted root has no id", reason=error) from error


def _stamped_by(chain: tuple[x509.Certificate, ...], stamp: TimeStampResponse, signature: bytes) -> bool:
    from rfc3161_client import VerifierBuilder

    if len(chain) < 2:
        return False
    leaf, *intermediates, root = chain
    builder = VerifierBuilder(tsa_certificate=leaf, intermediates=intermediates, roots=[root])
    try:
        return builder.build().verify_message(stamp, signature)
    except Exception:  # whatever the library raises on hostile bytes means that it does not verify
        return False

"""Verify files against their bundles: offline, against an explicit trusted root and an explicit policy.

The steps, which a reader can hold against the Sigstore client specification ("Verification") and SLSA
("Verifying artifacts"). The cryptography of 3, 4 and 6 to 8 is sigstore-python's; the rest is done here.

 1. Form: strict JSON, bundle v0.3, one DSSE envelope, one signature, one log entry.
 2. Time: every time-stamp verifies; the times are within the certificate's validity.
 3. Certificate: chains, at those times, to an authority the root vouched for at those times.
 4. Certificate transparency: a trusted log promised (SCT) to log the certificate.
 5. Identity: a builder of the policy is who the certificate names, extension by extension.
 6. Log entry: inclusion proof, signed checkpoint and promise, by the very log the entry names.
 7. Signature: the certificate's key signed the payload.
 8. Entry body: what was logged is this payload, signature and certificate.
 9. Statement: strictly parsed, of a known kind, about exactly one file: this name, these bytes.
10. Provenance: build type, builder id, clean source, commit, as the policy demands.
11. Quorum: as many distinct builders as the policy demands attest the same digest.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millcert.attest.bundle import MAX_BUNDLE, SUFFIX, BundleFinder, ClaimedBundle, read_bundle
from millcert.attest.claims import Claims
from millcert.attest.errors import (
    BundleError,
    CertificateError,
    IdentityRefusedError,
    LogEntryError,
    ProvenanceRefusedError,
    QuorumError,
    SctError,
    SignatureError,
    StatementError,
    SubjectMismatchError,
    TimeError,
    printable,
)
from millcert.attest.policy import Policy, count_builders, refusals_of_build, refusals_of_claims
from millcert.attest.statement import PROVENANCE, BuildDefinition, Statement, Subject, parse_statement
from millcert.attest.trust import TrustRoot
from millcert.errors import MillcertError, VerificationError
from millcert.model import Digest, digest_of_file

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["Attestation", "Verdict", "Verifier"]


@dataclass(frozen=True)
class Attestation:
    """One bundle that passed steps 1 to 10, and what it was accepted on."""

    bundle: str
    claimed: ClaimedBundle
    subject: Subject
    build: BuildDefinition
    rules: tuple[int, ...]
    builder: str
    steps: tuple[tuple[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        """The evidence as JSON has it."""
        claims = self.claimed.claims
        return {
            "bundle": self.bundle,
            "builder": self.builder,
            "identity": claims.identity,
            "issuer": claims.issuer,
            "certificate": dict(claims.extensions),
            "log": {"id": self.claimed.log_id.hex(), "index": self.claimed.log_index, "kind": self.claimed.log_kind},
            "times": [time.isoformat() for time in self.claimed.times],
            "build_type": self.build.build_type,
            "builder_id": self.build.builder_id,
            "steps": [{"step": number, "check": check, "found": found}
                      for number, (check, found) in enumerate(self.steps, 1)],
        }  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What is known of one file: accepted with attestations, or refused with the error that says why."""

    path: Path
    digest: Digest | None
    attestations: tuple[Attestation, ...] = ()
    not_counted: tuple[tuple[str, str], ...] = ()
    builders: int = 0
    demanded: int = 1
    error: MillcertError | None = None

    def as_dict(self) -> dict[str, Any]:
        """The verdict as JSON has it."""
        return {
            "file": str(self.path),
            "sha256": self.digest,
            "verified": self.error is None,
            "builders": {"demanded": self.demanded, "agreeing": self.builders},
            "attestations": [attestation.as_dict() for attestation in self.attestations],
            "not_counted": [{"bundle": bundle, "reason": reason} for bundle, reason in self.not_counted],
            "error": self.error.as_dict() if self.error else None,
        }


class Verifier:
    """Verifies any number of files against one trusted root and one policy; the root is parsed once."""

    def __init__(self, root: TrustRoot, policy: Policy) -> None:
        self.root = root
        self.policy = policy

    def verdicts(self, paths: Sequence[Path], bundles: Sequence[Path] = ()) -> Iterator[Verdict]:
        """A verdict for each file, in order; files are hashed ahead on other threads, in constant memory."""
        finder = BundleFinder()
        pool = ThreadPoolExecutor(thread_name_prefix="sha256")
        try:
            digests = pool.map(_digest, paths)
            importlib.import_module("sigstore.verify")  # takes longer than most files: hash meanwhile
            for path, digest in zip(paths, digests, strict=True):
                if isinstance(digest, MillcertError):
                    yield Verdict(path, None, demanded=self.policy.builders, error=digest)
                else:
                    yield self._verdict(path, digest, bundles or finder.beside(path))
        finally:
            pool.shutdown(cancel_futures=True)

    def verify(self, path: Path, bundles: Sequence[Path] = ()) -> Verdict:
        """The verdict of a file that is accepted; raises what refuses it otherwise."""
        (verdict,) = self.verdicts([path], bundles)
        if verdict.error is not None:
            raise verdict.error
        return verdict

    def attestation(self, data: bytes, name: str, digest: Digest, *, source: str = "bundle") -> Attestation:
        """Steps 1 to 10 for one bundle about a file of this name and digest; raises what refuses it."""
        claimed = read_bundle(data)
        _check_times(self.root, claimed)
        self._check_signature(claimed)
        statement = parse_statement(claimed.payload)
        _check_subject(statement, claimed.claims, name, digest)
        build = _provenance(statement)
        rules = self._check_provenance(build, claimed.claims)
        builder = self.policy.rules[rules[0]].title
        steps = (*_signature_steps(self.root, claimed, builder), *_statement_steps(statement.subjects[0], build))
        return Attestation(source, claimed, statement.subjects[0], build, rules, builder, steps)

    def _verdict(self, path: Path, digest: Digest, bundles: Sequence[Path]) -> Verdict:
        demanded = self.policy.builders
        try:
            attestations, refused = self._attestations(path, digest, bundles)
        except MillcertError as error:
            return Verdict(path, digest, demanded=demanded, error=error)
        count = count_builders((one.claimed.claims.key, rule) for one in attestations for rule in one.rules)
        not_counted = tuple((source, error.message) for source, error in refused)
        shortfall = self._quorum_error(path, digest, count, attestations, refused)
        return Verdict(path, digest, attestations, not_counted, count, demanded, shortfall)

    def _attestations(
        self, path: Path, digest: Digest, bundles: Sequence[Path]
    ) -> tuple[tuple[Attestation, ...], list[tuple[str, IdentityRefusedError]]]:
        """What the bundles attest. One of somebody else's does not count; one that is wrong refuses the file."""
        if not bundles:
            raise BundleError(
                "no bundle for the file", file=path, expected=path.name + SUFFIX,
                fix="download the bundle that belongs to the file, or name it with --bundle",
            )  # fmt: skip
        attestations: list[Attestation] = []
        refused: list[tuple[str, IdentityRefusedError]] = []
        for bundle in bundles:
            try:
                attestations.append(self.attestation(_read(bundle), path.name, digest, source=bundle.name))
            except VerificationError as error:
                error.evidence = {"file": str(path), "bundle": str(bundle), **error.evidence}
                if not isinstance(error, IdentityRefusedError):
                    raise
                refused.append((bundle.name, error))
        return tuple(attestations), refused

    def _quorum_error(
        self, path: Path, digest: Digest, count: int, attestations: Sequence[Attestation],
        refused: Sequence[tuple[str, IdentityRefusedError]],
    ) -> MillcertError | None:  # fmt: skip
        if count >= self.policy.builders:
            return None
        if not attestations and len(refused) == 1:
            return refused[0][1]
        agreeing = {one.claimed.claims.identity for one in attestations}
        return QuorumError(
            "too few distinct builders attest this digest",
            file=path, sha256=digest, demanded=self.policy.builders, agreeing=count,
            identities="; ".join(sorted(map(printable, agreeing))) or "none",
            not_counted="; ".join(f"{source}: {error.message}" for source, error in refused) or None,
            fix="obtain the bundles of the other builders, or do not use the file",
        )  # fmt: skip

    def _check_signature(self, claimed: ClaimedBundle) -> None:
        """Steps 3 to 8, by sigstore-python, which believes only what the root vouched for at the bundle's times."""
        verifier = self.root.verifier_at(claimed.log_id, claimed.times, claimed.sct_times)
        try:
            kind, payload = verifier.verify_dsse(claimed.library, _Identity(self.policy, claimed))
        except MillcertError:
            raise
        except Exception as error:  # whatever the library raises on hostile bytes is a refusal
            raise _refusal(error, claimed, self.root) from error
        if (kind, payload) != ("application/vnd.in-toto+json", claimed.payload):
            raise SignatureError("what was verified is not what would be used", kind=printable(kind))

    def _check_provenance(self, build: BuildDefinition, claims: Claims) -> tuple[int, ...]:
        """Step 10; the indices of the policy's builders that this certificate and statement satisfy."""
        named = [index for index, rule in enumerate(self.policy.rules) if not refusals_of_claims(rule, claims)]
        reasons: list[str] = []
        accepted: list[int] = []
        for index in named:
            refusals = refusals_of_build(self.policy.rules[index], claims, build)
            reasons += refusals
            accepted += [] if refusals else [index]
        if not accepted:
            raise ProvenanceRefusedError(
                "the provenance is not what the policy demands",
                identity=printable(claims.identity), reasons="; ".join(dict.fromkeys(reasons)),
            )  # fmt: skip
        return tuple(accepted)


class _Identity:
    """Step 5, as sigstore-python calls it: a policy over the signing certificate."""

    def __init__(self, policy: Policy, claimed: ClaimedBundle) -> None:
        self._policy = policy
        self._claimed = claimed

    def verify(self, cert: x509.Certificate) -> None:
        if cert != self._claimed.certificate:
            raise CertificateError("the certificate that was verified is not the one that would be believed")
        claims = self._claimed.claims
        refusals = [refusals_of_claims(rule, claims) for rule in self._policy.rules]
        if not all(refusals):
            return
        closest = min(refusals, key=len)
        raise IdentityRefusedError(
            f"signed by somebody the policy does not name: {closest[0]}",
            identity=printable(claims.identity), issuer=printable(claims.issuer),
            also="; ".join(closest[1:]) or None, builders="; ".join(rule.title for rule in self._policy.rules),
        )  # fmt: skip


def _check_times(root: TrustRoot, claimed: ClaimedBundle) -> None:
    """Step 2. A lone time is left to sigstore-python; of several it would pass over those it cannot verify."""
    for stamp in claimed.stamps if len(claimed.times) > 1 else ():
        root.check_stamp(stamp, claimed.signature)
    if not claimed.times:
        raise TimeError(
            "nothing trustworthy says when the signature was made",
            expected="a signed entry timestamp (Rekor v1) or an RFC 3161 time-stamp",
            log_entry=printable(claimed.log_kind),
        )  # fmt: skip
    start, end = claimed.certificate.not_valid_before_utc, claimed.certificate.not_valid_after_utc
    for time in claimed.times:
        if not start <= time <= end:
            raise TimeError(
                "the signature was made while the certificate was not valid",
                signed=time, certificate_valid=f"{start} to {end}",
            )  # fmt: skip


# what sigstore-python's message begins with → the class of refusal; only the name of the refusal depends on it
_CLASSES: tuple[tuple[str, type[VerificationError], str], ...] = (
    ("failed to verify SCT", SctError, "no trusted certificate transparency log promised to log the certificate"),
    ("Key usage", CertificateError, "the certificate is not for signatures"),
    ("Extended usage", CertificateError, "the certificate is not for code signing"),
    ("invalid log entry", LogEntryError, "the transparency log entry is not proven"),
    ("DSSE", SignatureError, "the signature is not the certificate's key over this payload"),
    ("log entry", LogEntryError, "the transparency log entry is about something else"),
    ("transparency log entry", LogEntryError, "the transparency log entry is about something else"),
    ("invalid DSSE log entry", LogEntryError, "the transparency log entry is malformed"),
    ("Unsupported DSSE log entry", LogEntryError, "the transparency log entry is of an unknown kind"),
    ("not enough sources", TimeError, "nothing trustworthy says when the signature was made"),
    ("invalid signing cert", TimeError, "the signature was made while the certificate was not valid"),
)


def _refusal(error: Exception, claimed: ClaimedBundle, root: TrustRoot) -> VerificationError:
    from sigstore.errors import CertValidationError

    kind: type[VerificationError] = VerificationError
    message, reason = "sigstore refuses the bundle", printable(error)
    if isinstance(error, CertValidationError):
        kind, message = CertificateError, "the certificate does not chain to an authority of the trusted root"
    else:
        for prefix, known, text in _CLASSES:
            if reason.startswith(prefix):
                kind, message = known, text
                break
    return kind(
        message, reason=reason, identity=printable(claimed.claims.identity),
        trusted_root=f"{root.source} (sha256 {root.digest[:16]}…)",
    )  # fmt: skip


def _provenance(statement: Statement) -> BuildDefinition:
    """Step 9: of the kinds of statement there are, only provenance says how a file was made."""
    if statement.build is None:
        raise ProvenanceRefusedError(
            "the statement is not SLSA provenance",
            expected=PROVENANCE, found=printable(statement.predicate_type),
        )  # fmt: skip
    return statement.build


def _check_subject(statement: Statement, claims: Claims, name: str, digest: Digest) -> None:
    """Step 9: exactly one subject, this name and these bytes (as PEP 740 demands of index attestations)."""
    if len(statement.subjects) != 1:
        raise StatementError(
            "the statement is about more than one file",
            subjects=", ".join(printable(one.name) for one in statement.subjects[:8]),
            identity=printable(claims.identity),
        )  # fmt: skip
    subject = statement.subjects[0]
    if subject.digest != digest:
        raise SubjectMismatchError(
            "the builder attests other bytes than the file's",
            expected=subject.digest, found=digest, builder=printable(claims.identity),
            fix="do not use the file: it was altered, or this builder got another result",
        )  # fmt: skip
    if subject.name != name:
        raise SubjectMismatchError(
            "the builder attests these bytes under another name",
            expected=printable(subject.name), found=printable(name), builder=printable(claims.identity),
            fix="give the file the name it was built under",
        )  # fmt: skip


def _signature_steps(root: TrustRoot, claimed: ClaimedBundle, builder: str) -> Iterator[tuple[str, str]]:
    """Steps 1 to 8 as what was found; every value has been verified when this is called."""
    certificate, claims = claimed.certificate, claimed.claims
    stamped = [f"{stamp.tst_info.gen_time:%Y-%m-%d %H:%M:%S} UTC by time-stamp" for stamp in claimed.stamps]
    logged = [f"{claimed.integrated:%Y-%m-%d %H:%M:%S} UTC by log promise"] if claimed.integrated else []
    valid = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to {certificate.not_valid_after_utc:%H:%M} UTC"
    yield "form", "Sigstore bundle v0.3: one in-toto envelope, one signature, one log entry"
    yield "time", ", ".join([*stamped, *logged])
    yield "certificate", f"valid {valid}, chains to {root.source} (sha256 {root.digest[:16]}…)"
    yield "certificate transparency", f"promised {claimed.sct_times[0]:%Y-%m-%d %H:%M:%S} UTC"
    yield "identity", f"{printable(claims.identity)} vouched for by {printable(claims.issuer)} (builder {builder!r})"
    yield "log entry", f"index {claimed.log_index} of log {claimed.log_id.hex()[:16]}…, included under its checkpoint"
    yield "signature", f"by certificate {certificate.serial_number:x} over {len(claimed.payload)} bytes"
    yield "entry body", f"{claimed.log_kind} is this payload, signature and certificate"


def _statement_steps(subject: Subject, build: BuildDefinition) -> Iterator[tuple[str, str]]:
    """Steps 9 and 10, likewise."""
    commits = ", ".join(sorted(build.commits)) or "none named"
    yield "statement", f"{PROVENANCE}: {subject.name} sha256 {subject.digest}"
    made = f"{printable(build.build_type)} by {printable(build.builder_id)}"
    yield "provenance", f"{made}, {len(build.dependencies)} inputs, commit {commits}"


def _digest(path: Path) -> Digest | MillcertError:
    try:
        return digest_of_file(path)
    except OSError as error:
        return VerificationError("the file cannot be read", file=path, reason=error.strerror)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BUNDLE + 1)
    except OSError as error:
        raise BundleError("the bundle cannot be read", bundle=path, reason=error.strerror) from error

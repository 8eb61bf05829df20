"""What lies beside an attested wheel, held against the page, the signed statement and the wheel itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from millcert.attest.errors import StatementError
from millcert.attest.statement import parse_statement
from millcert.attest.verify import Attestation, Verdict, Verifier
from millcert.errors import MillcertError
from millcert.install.client import VerifiedIndex, pinned_evidence
from millcert.install.errors import EvidenceError
from millcert.install.source import Wanted
from millcert.install.state import Sighting
from millcert.install.wheelfile import CheckedWheel
from millcert.model import digest_of
from millcert.names import NormalizedName
from millcert.publish.page import PageFile
from millcert.store import Store

__all__ = ["Evidence", "as_chain", "attested_at", "bring_evidence", "check_page", "sighting"]

_MOST = 64 << 20
_KINDS = ("provenance", "sbom", "pylock")


def _quiet(filename: str, received: int, size: int) -> None:
    """Files beside a wheel are small: their progress is not shown."""


@dataclass(frozen=True)
class Evidence:
    """The files that a page pins beside a wheel, by their bytes; each has the digest that the page names."""

    file: PageFile
    bundles: tuple[bytes, ...]
    provenance: bytes
    sbom: bytes
    pylock: bytes

    def attestations(self, verifier: Verifier) -> tuple[Attestation, ...]:
        """The bundles that prove themselves, before the wheel is here; what refuses them is said by ``verify``."""
        found = []
        for bundle in self.bundles:
            try:
                found.append(verifier.attestation(bundle, self.file.filename, self.file.digest))
            except MillcertError:
                continue
        return tuple(found)

    def verify(self, verifier: Verifier, wheel: Path) -> Verdict:
        """The verdict on a wheel that lies in a private folder; raises what refuses it."""
        paths = []
        for number, bundle in enumerate(self.bundles):
            path = wheel.with_name(f"{wheel.name}.{number}.sigstore.json")
            path.write_bytes(bundle)
            paths.append(path)
        verdict = verifier.verify(wheel, paths)
        self._check_provenance(verdict)
        return verdict

    def check_sbom(self, wheel: CheckedWheel) -> int:
        """The SBOM is the one inside the wheel, of this release, and of this build; how many components it names."""
        if digest_of(self.sbom) not in {digest_of(inside) for inside in wheel.sboms.values()}:
            raise EvidenceError("the SBOM on the page is not the one inside the wheel", file=wheel.filename)
        try:
            document = json.loads(self.sbom)
            subject = document["metadata"]["component"]
            found = (document["bomFormat"], subject["name"], subject["version"])
            components = [(str(one["name"]), _sha256(one)) for one in document.get("components", ())]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise EvidenceError("the SBOM is not CycloneDX", file=wheel.filename, reason=error) from error
        if found != ("CycloneDX", wheel.name, str(wheel.version)):
            raise EvidenceError(
                "the SBOM is of another release", file=wheel.filename,
                expected=f"{wheel.name} {wheel.version}", found=" ".join(map(str, found[1:])),
            )  # fmt: skip
        build = parse_statement(self.provenance).build
        read = {one.digest.get("sha256") for one in build.dependencies} if build else set()
        if strange := [(name, digest) for name, digest in components if digest and digest not in read]:
            raise EvidenceError(
                "the SBOM names a component that the build did not read", file=wheel.filename,
                component=strange[0][0], sha256=strange[0][1], components=len(strange),
            )  # fmt: skip
        return len(components)

    def _check_provenance(self, verdict: Verdict) -> None:
        """The provenance on the page is a statement that an accepted builder signed, byte for byte."""
        if self.provenance in (one.claimed.payload for one in verdict.attestations):
            return
        try:
            subjects = ", ".join(one.name for one in parse_statement(self.provenance).subjects)
        except StatementError as error:
            subjects = str(error)
        raise EvidenceError(
            "no accepted builder signed the provenance on the page", file=self.file.filename, provenance_of=subjects
        )


def _sha256(component: Mapping[str, Any]) -> str:
    found = [str(one["content"]) for one in component.get("hashes", ()) if one["alg"] == "SHA-256"]
    return found[0] if found else ""


def bring_evidence(index: VerifiedIndex, where: str, name: NormalizedName, file: PageFile, store: Store) -> Evidence:
    """Everything that must lie beside an attested wheel; EvidenceError where the page names less."""
    pins = file.evidence
    bundles = pins.get("bundles")
    missing = [kind for kind in _KINDS if not isinstance(pins.get(kind), dict)]
    if not isinstance(bundles, list) or not bundles or missing:
        raise EvidenceError(
            "the page names no attestation for the wheel" if not bundles else "the page lacks a file beside the wheel",
            file=file.filename, missing=", ".join(missing) or "bundles",
            fix="do not use the file: an attestation that was there is never taken away",
        )  # fmt: skip
    wanted = [pinned_evidence(where, name, pin) for pin in [*bundles, *(pins[kind] for kind in _KINDS)]]
    if large := [one for one in wanted if one.size > _MOST]:
        raise EvidenceError("a file beside the wheel is too large", file=large[0].filename, bytes=large[0].size)
    index.source.bring(wanted, store, _quiet)
    data = [_read(store, one) for one in wanted]
    return Evidence(file, tuple(data[:-3]), *data[-3:])


def _read(store: Store, wanted: Wanted) -> bytes:
    data = store.read(wanted.digest)
    if len(data) != wanted.size:
        raise EvidenceError("a file has another size than its page says", file=wanted.filename, found=len(data))
    return data


def check_page(wheel: CheckedWheel, file: PageFile) -> None:
    """The page tells resolvers what the wheel's own metadata says."""
    if file.metadata is not None and digest_of(wheel.metadata) != file.metadata:
        raise EvidenceError("the core metadata on the page is not the wheel's", file=wheel.filename)
    if file.requires_python != wheel.requires_python:
        raise EvidenceError(
            "the page names other Python versions than the wheel", file=wheel.filename,
            expected=wheel.requires_python or "any", found=file.requires_python or "any",
        )  # fmt: skip


def sighting(verdict: Verdict) -> Sighting:
    """Who attested a file, as the ratchet remembers it."""
    claims = [one.claimed.claims for one in verdict.attestations]
    return Sighting(tuple(sorted({(one.issuer or "", one.identity or "") for one in claims})), verdict.builders)


def attested_at(attestations: Sequence[Attestation], demanded: int) -> datetime | None:
    """When the last of the builders that are demanded had its signature timed, by log or time-stamp; None if too few.

    Nobody can date such a time back; an upload time is whatever an index says.
    """
    builders: dict[object, datetime] = {}
    for rules, time in sorted((one.rules, max(one.claimed.times)) for one in attestations):
        builders[rules] = min(time, builders.get(rules, time))
    times = sorted(builders.values())
    return times[demanded - 1] if len(times) >= demanded else None


def as_chain(evidence: Evidence, verdict: Verdict, components: int) -> dict[str, Any]:
    """The evidence for an attested wheel, for people and machines to read."""
    return {
        "provenance": digest_of(evidence.provenance), "sbom": digest_of(evidence.sbom),
        "sbom_components": components, "pylock": digest_of(evidence.pylock),
        "bundles": [digest_of(bundle) for bundle in evidence.bundles],
        "builders": {"agreeing": verdict.builders, "demanded": verdict.demanded},
        "attestations": [one.as_dict() for one in verdict.attestations],
    }  # fmt: skip

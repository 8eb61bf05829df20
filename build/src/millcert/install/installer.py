"""The verb: prove everything, then let pip install what was proven.

1. Index: TUF from the anchor, not older than the floor, or than what was seen before.
2. Release: the newest one of the project's verified page that fits, attested long enough ago.
3. Evidence: bundles, provenance, SBOM and lock, each with the digest that the page pins.
4. Lock: every other wheel, on its own verified page with the hash that the lock names.
5. Wheels: digests, sizes, the archive and RECORD, metadata as on the page.
6. Attestation: the policy's builders, as many as it demands; provenance and SBOM agree with wheel and page.
7. Ratchet: attested as before, by whom it was attested before.
8. pip, on the local files alone; then the verification summary.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from packaging.version import Version

from millcert.attest.verify import Verdict, Verifier
from millcert.index import Progress
from millcert.install.anchor import Anchor
from millcert.install.client import VerifiedIndex, pinned_file
from millcert.install.environment import Environment
from millcert.install.errors import CooldownError, EvidenceError
from millcert.install.evidence import Evidence, as_chain, attested_at, bring_evidence, check_page, sighting
from millcert.install.resolve import Choice, candidates, check_complete, dependencies, project_page
from millcert.install.source import Source
from millcert.install.state import State
from millcert.install.summary import verification_summary
from millcert.install.wheelfile import THIRD_PARTY, CheckedWheel, check_wheel
from millcert.model import Digest, canonical_json, digest_of, digest_of_file
from millcert.names import NormalizedName
from millcert.publish.page import PageFile

__all__ = ["Installer", "Prepared", "Request", "open_index"]


@dataclass(frozen=True)
class Request:
    """What to install: ``index`` is ``<channel>/<variant>``; ``declared`` are file patterns that wheels may bring."""

    project: NormalizedName
    index: str
    version: Version | None = None
    cooldown: timedelta = timedelta(0)
    accepted: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """Verified wheels in a private folder, the project's own first, and the chain of evidence for them."""

    request: Request
    folder: Path
    wheels: tuple[CheckedWheel, ...]
    digests: tuple[Digest, ...]
    evidence: Evidence
    verdict: Verdict
    chain: dict[str, Any] = field(default_factory=dict)


def open_index(
    source: Source, anchor: Anchor, state: State, now: datetime, *,
    fresh: Path | None = None, expiry: datetime | None = None,
) -> VerifiedIndex:  # fmt: skip
    """Step 1. ``fresh``: a folder instead of kept metadata; ``expiry``: the time by which it must not have run out."""
    index = VerifiedIndex(source, anchor, fresh or state.cache(anchor.digest), now, expiry=expiry)
    state.see_index(anchor.digest, index.version, now)
    return index


@dataclass(frozen=True)
class Installer:
    """One verified index, who is believed about wheels, what is remembered, and the time."""

    index: VerifiedIndex
    verifier: Verifier
    policy: Digest
    state: State
    environment: Environment
    now: datetime
    progress: Progress

    @contextlib.contextmanager
    def prepare(self, request: Request) -> Iterator[Prepared]:
        """Steps 2 to 7; nothing is installed, and nothing is remembered of the project."""
        page = project_page(self.index, request.index, request.project)
        release, evidence, attested = self._release(request, candidates(page, self.environment, request.version))
        others = dependencies(self.index, request.index, release, evidence.pylock, self.environment)
        with self.state.store.temporary() as folder:
            folder.mkdir(mode=0o700)
            paths = self._stage([release, *others], request.index, folder)
            declared = [request.declared] + [(*THIRD_PARTY, *request.declared)] * len(others)
            wheels = [check_wheel(path, declared=names) for path, names in zip(paths, declared, strict=True)]
            for wheel, choice in zip(wheels, [release, *others], strict=True):
                check_page(wheel, choice.file)
            check_complete(wheels, self.environment.markers)
            verdict = evidence.verify(self.verifier, paths[0])
            components = evidence.check_sbom(wheels[0])
            self.state.check_project(request.project, sighting(verdict), request.accepted)
            chain = self._chain(request, wheels, [release, *others], as_chain(evidence, verdict, components), attested)
            digests = tuple(choice.file.digest for choice in (release, *others))
            yield Prepared(request, folder, tuple(wheels), digests, evidence, verdict, chain)

    def install(self, prepared: Prepared, target: Path | None = None) -> Path:
        """Step 8; the path of the verification summary."""
        wheels = zip(prepared.wheels, prepared.digests, strict=True)
        pins = [(str(wheel.name), str(wheel.version), str(digest)) for wheel, digest in wheels]
        self.environment.install(prepared.folder, pins, target)
        request, own = prepared.request, prepared.wheels[0]
        self.state.see_project(request.project, sighting(prepared.verdict), request.accepted)
        accepted = {digest_of(bundle): bundle for bundle in prepared.evidence.bundles}
        inputs = {f"urn:sha256:{digest}": digest for digest in accepted}
        summary = verification_summary(
            own.filename, prepared.digests[0], resource=f"pkg:pypi/{own.name}@{own.version}",
            policy=self.policy, inputs=inputs, now=self.now,
        )  # fmt: skip
        return self.state.keep_summary(prepared.digests[0], canonical_json(summary), canonical_json(prepared.chain))

    def _release(self, request: Request, files: Sequence[PageFile]) -> tuple[Choice, Evidence, datetime | None]:
        """Step 2 and 3: the first candidate that is attested, if a cooldown is asked for, long enough ago."""
        young = []
        for file in files:
            evidence = bring_evidence(self.index, request.index, request.project, file, self.state.store)
            attestations = evidence.attestations(self.verifier)
            attested = attested_at(attestations, self.verifier.policy.builders)
            if not request.cooldown or not attestations:  # what is not attested is refused below, never passed over
                return Choice(request.project, file), evidence, attested
            if attested is not None and self.now - attested >= request.cooldown:
                return Choice(request.project, file), evidence, attested
            young.append(f"{file.version} ({attested.isoformat() if attested else 'too few builders'})")
        raise CooldownError(
            "no release was attested long enough ago, by log or time-stamp", project=request.project,
            cooldown=request.cooldown, found=", ".join(young[:5]), fix="wait, or ask for a shorter --cooldown",
        )  # fmt: skip

    def _stage(self, choices: Sequence[Choice], where: str, folder: Path) -> list[Path]:
        """Step 4 and 5: the wheels under their own names in a private folder, their digests checked."""
        store = self.state.store
        self.index.source.bring([pinned_file(where, one.name, one.file) for one in choices], store, self.progress)
        paths = []
        for one in choices:
            path = folder / one.file.filename
            blob = store.path(one.file.digest)
            try:
                os.link(blob, path)
            except OSError:  # another file system, or one without links
                shutil.copyfile(blob, path)
            if path.stat().st_size != one.file.size or digest_of_file(path) != one.file.digest:
                raise EvidenceError("a wheel is not what its page says", file=path.name, expected=one.file.digest)
            paths.append(path)
        return paths

    def _chain(
        self, request: Request, wheels: Sequence[CheckedWheel], choices: Sequence[Choice], attested: dict[str, Any],
        time: datetime | None,
    ) -> dict[str, Any]:  # fmt: skip
        index = self.index
        return {
            "project": request.project, "version": str(wheels[0].version), "index": request.index,
            "tuf": {
                "anchor": index.anchor.digest, "root": index.root_version, "timestamp": index.version,
                "expires": index.expires.isoformat(),
            },
            "verified": self.now.isoformat(), "attested": time.isoformat() if time else None, "policy": self.policy,
            "evidence": attested,
            "wheels": [
                {"file": wheel.filename, "sha256": choice.file.digest, "size": choice.file.size,
                 "files": len(wheel.files), "trusted_by": "lock" if place else "attestation"}
                for place, (wheel, choice) in enumerate(zip(wheels, choices, strict=True))
            ],
            "files": dict(wheels[0].files),
        }  # fmt: skip

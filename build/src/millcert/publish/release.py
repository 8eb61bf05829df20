"""Our own wheels on an index: files, evidence, page entries, retirement of old nights, and ``pylock.toml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urljoin

from packaging.version import Version

from millcert.model import digest_of
from millcert.names import NormalizedName
from millcert.publish.artifact import Artifact, Builder
from millcert.publish.errors import NameTakenError, ReleaseRefusedError
from millcert.publish.page import Page, PageFile, Pinned, page_path, relative_url, retired_path
from millcert.publish.plan import Plan
from millcert.publish.provenance import provenance_object
from millcert.publish.pylock import LockEntry, render_pylock
from millcert.publish.thirdparty import ThirdParty

__all__ = ["Release"]


@dataclass(frozen=True)
class Release:
    """Verified wheels of one project, to be listed on one index.

    ``retain``: how many versions stay listed (None for all). ``base_url``: where the site will be served, to be
    written into ``pylock.toml``; empty for relative paths.
    """

    index: str
    name: NormalizedName
    wheels: Sequence[tuple[Artifact, Mapping[str, Builder]]]
    retain: int | None
    base_url: str
    now: datetime

    @property
    def folder(self) -> str:
        """The folder of the project's page."""
        return f"{self.index}/{self.name}"

    def plan(self, plan: Plan, third_party: ThirdParty) -> None:
        """Plan the wheels and what belongs to them."""
        path = page_path(self.index, self.name)
        page = plan.page(path, self.name)
        if page.status in ("archived", "quarantined"):
            raise ReleaseRefusedError(f"the project is {page.status} on this index", name=self.name, reason=page.reason)
        page = page.with_files(self._entry(plan, page, artifact, builders) for artifact, builders in self.wheels)
        page = self._with_locks(plan, page, third_party)
        plan.put_page(path, self._retire(plan, page).to_bytes())

    def _entry(self, plan: Plan, page: Page, artifact: Artifact, builders: Mapping[str, Builder]) -> PageFile:
        listed = page.file(artifact.filename)
        if listed is not None and listed.digest != artifact.digest:
            raise NameTakenError(
                "the name is published with other bytes", file=artifact.filename,
                published=listed.digest, refused=artifact.digest,
                fix="publish under a new version: a name that was published once never changes",
            )  # fmt: skip
        path = f"files/{self.name}/{artifact.filename}"
        metadata = plan.add_bytes(f"{path}.metadata", artifact.metadata.data)
        evidence = self._evidence(plan, path, artifact, builders, listed)
        if (pep740 := provenance_object(artifact.bundles, builders)) is not None:
            evidence["pep740"] = self._pin(plan, f"{path}.{digest_of(pep740)[:16]}.pep740", pep740).as_dict()
        plan.add_wheel(path, artifact.digest, artifact.path)
        return PageFile(
            artifact.filename, relative_url(self.folder, path), artifact.digest, artifact.size,
            listed.uploaded if listed else self.now, artifact.metadata.requires_python, metadata,
            listed.yanked if listed else "", str(evidence.get("pep740", {}).get("url", "")), evidence,
        )  # fmt: skip

    def _evidence(
        self, plan: Plan, path: str, artifact: Artifact, builders: Mapping[str, Builder], listed: PageFile | None
    ) -> dict[str, Any]:
        before = dict(listed.evidence) if listed else {}
        bundles = {pin["url"]: pin for pin in before.get("bundles", ())}
        folder = path.rpartition("/")[0]
        for name, data in artifact.bundles.items():
            pin = self._pin(plan, f"{folder}/{name}", data).as_dict()
            bundles[pin["url"]] = pin
        known = {(one["issuer"], one["subject"]) for one in before.get("builders", ())}
        known |= {(one.issuer, one.subject) for one in builders.values()}
        return before | {
            "bundles": [bundles[url] for url in sorted(bundles, key=str)],
            "builders": [{"issuer": issuer, "subject": subject} for issuer, subject in sorted(known)],
            "provenance": self._pin(plan, f"{path}.provenance.json", artifact.provenance).as_dict(),
            "sbom": self._pin(plan, f"{path}.cdx.json", artifact.sbom).as_dict(),
        }

    def _pin(self, plan: Plan, path: str, data: bytes) -> Pinned:
        digest = plan.add_bytes(path, data)
        return Pinned(relative_url(self.folder, path), digest, len(data))

    def _retire(self, plan: Plan, page: Page) -> Page:
        """Move all but the newest versions to the page of their month: not listed, still pinned and served."""
        versions = sorted({file.version for file in page.files}, reverse=True)
        if self.retain is None or len(versions) <= self.retain:
            return page
        kept = set(versions[: self.retain])
        for file in page.files:
            if file.version not in kept:
                path = retired_path(self.index, self.name, file)
                plan.put_page(path, plan.page(path, self.name).with_files([file]).to_bytes())
        return replace(page, files=tuple(file for file in page.files if file.version in kept))

    def _with_locks(self, plan: Plan, page: Page, third_party: ThirdParty) -> Page:
        """Write the ``pylock.toml`` of each version at hand, and pin it on the version's files."""
        for version in sorted({artifact.metadata.version for artifact, _ in self.wheels}):
            files = [file for file in page.files if file.version == version]
            data = self._pylock(plan, version, files, third_party)
            digest = digest_of(data)
            plan.add_bytes(f"{self.folder}/{digest}/pylock.toml", data)
            pin = Pinned(f"{digest}/pylock.toml", digest, len(data)).as_dict()
            page = page.with_files(replace(file, evidence={**file.evidence, "pylock": pin}) for file in files)
        return page

    def _pylock(self, plan: Plan, version: Version, files: Sequence[PageFile], third_party: ThirdParty) -> bytes:
        entries: list[LockEntry] = [(self.name, version, [(self._place(self.folder, file), file) for file in files])]
        for pin in third_party.lock.pins:
            folder = f"{self.index}/{pin.name}"
            locked = third_party.files_of(plan, pin)
            entries.append((pin.name, Version(pin.version), [(self._place(folder, file), file) for file in locked]))
        return render_pylock(entries, {self.name: _identities(files)})

    def _place(self, folder: str, file: PageFile) -> str:
        """Where a lock finds a file: an absolute address, or a path from the lock's own folder."""
        if "://" in file.url:
            return file.url
        path = urljoin(f"/{folder}/", file.url)
        if self.base_url:
            return self.base_url.rstrip("/") + path
        return "../" * len(f"{self.folder}/x".split("/")) + unquote(path.lstrip("/"))


def _identities(files: Sequence[PageFile]) -> list[dict[str, str]]:
    builders = {(one["issuer"], one["subject"]) for file in files for one in file.evidence.get("builders", ())}
    return [{"kind": "Sigstore", "issuer": issuer, "subject": subject} for issuer, subject in sorted(builders)]

"""Third-party projects on an index: exactly the files of the variant's lock, each by its hash."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote, urlsplit

from packaging.version import Version

from millcert.errors import HashMismatchError, StoreError, UsageError
from millcert.lock import Lock, LockedFile, Pin
from millcert.model import Digest, canonical_json, digest_of
from millcert.names import NormalizedName
from millcert.publish.artifact import CoreMetadata, read_core_metadata
from millcert.publish.closure import check_requirements
from millcert.publish.errors import DependencyError, NameTakenError
from millcert.publish.page import Page, PageFile, page_path, relative_url
from millcert.publish.plan import Plan
from millcert.store import Store

__all__ = ["SUPERSEDED", "ThirdParty", "check_refer"]

SUPERSEDED = "superseded: the lock of this index moved on"


@dataclass(frozen=True)
class ThirdParty:
    """How an index carries what its lock names.

    ``refer``: empty to mirror the files, or an absolute address with ``{filename}``, ``{name}`` or ``{sha256}``.
    """

    index: str
    lock: Lock
    owned: frozenset[NormalizedName]
    refer: str
    now: datetime

    @property
    def versions(self) -> dict[NormalizedName, Version]:
        """The locked version of each project."""
        return {pin.name: Version(pin.version) for pin in self.lock.pins}

    @property
    def digest(self) -> Digest:
        """What the pages of an index follow; the same digest means they need no look."""
        pins = [[pin.name, pin.version, [[f.filename, f.digest, f.size] for f in pin.files]] for pin in self.lock.pins]
        return digest_of(canonical_json({"pins": pins, "refer": self.refer}))

    def needed(self, plan: Plan) -> list[tuple[Pin, LockedFile]]:
        """The locked files that the pages do not list yet, and that must therefore be in the store."""
        if _listed(plan, self.index)[1] == self.digest:
            return []
        pages = {pin.name: plan.page(page_path(self.index, pin.name), pin.name) for pin in self.lock.pins}
        return [
            (pin, file) for pin in self.lock.pins for file in pin.files if pages[pin.name].file(file.filename) is None
        ]

    def plan(self, plan: Plan, store: Store) -> None:
        """Bring the pages up to the lock: new files appear, those of former locks stay for pinned installs only.

        Files come from the store, where each must be, so that its own requirements can be read.
        """
        listed, followed = _listed(plan, self.index)
        if followed == self.digest:
            return
        for pin in self.lock.pins:
            self._plan_pin(plan, pin, store)
        for name in listed - self.owned - set(self.versions):
            path = page_path(self.index, name)
            page = plan.page(path, name)
            plan.put_page(path, _supersede(page, ()).to_bytes())

    def files_of(self, plan: Plan, pin: Pin) -> list[PageFile]:
        """The page's entries for a pin; DependencyError if one may not be installed, though the lock names it."""
        page = plan.page(page_path(self.index, pin.name), pin.name)
        if page.status == "quarantined":
            raise DependencyError("a locked project is quarantined on this index", name=pin.name, reason=page.reason)
        files = [_again(listed, pin, file) for file in pin.files if (listed := page.file(file.filename)) is not None]
        if len(files) != len(pin.files):
            raise DependencyError("a locked file is not on this index", name=pin.name, expected=len(pin.files))
        return files

    def _plan_pin(self, plan: Plan, pin: Pin, store: Store) -> None:
        path = page_path(self.index, pin.name)
        page = plan.page(path, pin.name)
        entries = [self._entry(plan, page, pin, file, store) for file in pin.files]
        page = _supersede(page.with_files(entries), {file.filename for file in pin.files})
        plan.put_page(path, page.to_bytes())

    def _entry(self, plan: Plan, page: Page, pin: Pin, file: LockedFile, store: Store) -> PageFile:
        if (listed := page.file(file.filename)) is not None:
            return _again(listed, pin, file)
        if not store.has(file.digest):
            raise StoreError(
                "a locked file is not in the store, so its requirements cannot be read",
                file=file.filename, sha256=file.digest, store=store.root, fix="run the same command with --fetch",
            )  # fmt: skip
        wheel = store.path(file.digest)
        if (size := wheel.stat().st_size) != file.size:
            raise HashMismatchError("the lock states another size", file=file.filename, expected=file.size, found=size)
        metadata = read_core_metadata(wheel, file.filename)
        check_requirements(metadata, file.filename, self.owned, self.versions)
        path = f"files/{pin.name}/{file.filename}"
        if self.refer:
            plan.claim(path, file.digest)
            return self._page_file(file, metadata, self._address(pin, file), None)
        plan.add_wheel(path, file.digest, wheel)
        digest = plan.add_bytes(f"{path}.metadata", metadata.data)
        return self._page_file(file, metadata, relative_url(f"{self.index}/{pin.name}", path), digest)

    def _page_file(self, file: LockedFile, metadata: CoreMetadata, url: str, digest: Digest | None) -> PageFile:
        return PageFile(
            file.filename, url, file.digest, file.size, self.now,
            requires_python=metadata.requires_python, metadata=digest,
        )  # fmt: skip

    def _address(self, pin: Pin, file: LockedFile) -> str:
        return self.refer.format(filename=quote(file.filename), name=pin.name, sha256=file.digest)


def check_refer(template: str) -> str:
    """UsageError unless the address is absolute, over TLS (or to this machine), and names each file."""
    try:
        first, second = (template.format(filename=one, name="n", sha256=one) for one in "01")
        address = urlsplit(first)
        local = address.hostname in ("127.0.0.1", "localhost", "::1")
        good = address.scheme == "https" or (address.scheme == "http" and local)
    except (ValueError, KeyError, IndexError, AttributeError):
        good, first, second = False, "", ""
    if not good or first == second:
        expected = "https://…/{name}/{filename} or https://…/{sha256}/{filename}"
        raise UsageError("not an address to refer to", found=template, expected=expected)
    return template


def listed_names(plan: Plan, index: str) -> set[NormalizedName]:
    """The projects that an index lists now."""
    return _listed(plan, index)[0]


def _listed(plan: Plan, index: str) -> tuple[set[NormalizedName], str | None]:
    data = plan.state.page(page_path(index))
    if data is None:
        return set(), None
    fields = json.loads(data)
    names = {NormalizedName(project["name"]) for project in fields["projects"]}
    return names, fields.get("_millcert", {}).get("lock")


def _again(listed: PageFile, pin: Pin, file: LockedFile) -> PageFile:
    if listed.digest != file.digest:
        raise NameTakenError(
            "the lock names other bytes than were published", file=file.filename,
            published=listed.digest, refused=file.digest, fix="find out which is right: one of them was tampered with",
        )  # fmt: skip
    if listed.yanked not in ("", SUPERSEDED):
        raise DependencyError(
            "a locked file was yanked from this index", file=file.filename, reason=listed.yanked,
            fix=f"lock another version of {pin.name}, or `millcert index yank --undo`",
        )  # fmt: skip
    return replace(listed, yanked="")


def _supersede(page: Page, current: Iterable[str]) -> Page:
    keep = set(current)
    old = [file for file in page.files if file.filename not in keep and not file.yanked]
    return page.with_files(replace(file, yanked=SUPERSEDED) for file in old)

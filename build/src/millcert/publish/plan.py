"""A plan: the files and pages that one change of an index needs, collected before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import TargetFile

from millcert.keys import Draft, Role, renew
from millcert.keys.authority import Lifetimes
from millcert.keys.draft import AnyMetadata
from millcert.model import Digest, chunks_of, digest_of
from millcert.names import NormalizedName
from millcert.publish.ceremony import authority_of
from millcert.publish.errors import NameTakenError
from millcert.publish.page import Page, parse_page
from millcert.publish.site import Site
from millcert.publish.state import State, free_version
from millcert.publish.views import stored_path

__all__ = ["Plan", "draft_pages"]


@dataclass
class Plan:
    """What is to be written, by path; ``pages`` hold what changed against ``state`` and nothing else."""

    state: State
    files: dict[str, tuple[Digest, bytes | Path]] = field(default_factory=dict)
    pages: dict[str, bytes] = field(default_factory=dict)

    def add_bytes(self, path: str, data: bytes) -> Digest:
        """A small file."""
        digest = digest_of(data)
        self.files[path] = (digest, data)
        return digest

    def add_wheel(self, path: str, digest: Digest, source: Path) -> None:
        """A wheel, copied from ``source``, and the claim to its name."""
        self.files[path] = (digest, source)
        self.claim(path, digest)

    def claim(self, path: str, digest: Digest) -> None:
        """Bind a file name to its bytes for ever, in ``sha256sum`` format beside it; NameTakenError if it is bound."""
        claim = f"{path}.sha256"
        data = f"{digest}  {path.rpartition('/')[2]}\n".encode()
        if (found := self.state.site.read(claim)) is not None and found != data:
            raise NameTakenError(
                "the name is taken by other bytes", file=path, published=found.decode(errors="replace")[:64],
                refused=digest, fix="publish under a new version: a name that was published once never changes",
            )  # fmt: skip
        self.add_bytes(claim, data)

    def page(self, path: str, name: NormalizedName) -> Page:
        """A project's page as planned so far."""
        data = self.pages.get(path) or self.state.page(path)
        return parse_page(data) if data else Page(name)

    def put_page(self, path: str, data: bytes) -> None:
        """Plan a page, unless it would be the same again."""
        if (target := self.state.target(path)) is not None and target.hashes["sha256"] == digest_of(data):
            self.pages.pop(path, None)
            return
        self.pages[path] = data

    def write(self, site: Site) -> None:
        """Write files, the third party's first, then pages; nothing that is served refers to them yet."""
        for path, (digest, source) in self.files.items():
            site.create(path, _chunks(source), digest)
        for path, data in self.pages.items():
            site.create(stored_path(path, data), [data], digest_of(data))


def draft_pages(plan: Plan, now: datetime, lifetimes: Lifetimes) -> Draft:
    """The unsigned metadata that puts the plan's pages into force: only the bins that its pages fall into."""
    state = plan.state
    bins: dict[str, AnyMetadata] = {}
    for path, data in plan.pages.items():
        name = state.page_role(path)
        if name not in bins:
            bins[name] = renew(state.role(name), name, now, lifetimes)
            bins[name].signed.version = free_version(state.site, name, bins[name].signed.version)
        bins[name].signed.targets[path] = TargetFile(len(data), {"sha256": digest_of(data)}, path)
    base = {name: state.version(name) for name in bins}
    signers: dict[str, tuple[Role, ...]] = {name: (authority_of(state, name),) for name in bins}
    return Draft(bins, base, signers)


def _chunks(source: bytes | Path) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as stream:
        yield from chunks_of(stream)

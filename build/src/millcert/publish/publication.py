"""The verb: from built, signed, verified wheels to an index that serves them, or to nothing changed at all.

1. Hold the lock; read and verify the present state from the trusted root; finish the views of a run that died.
2. Read the wheels and what is beside them; check release rules, requirements, attestations and quorum.
3. Plan pages from the lock and the wheels. Up to here nothing was written.
4. Write files, then pages, under names that nothing refers to yet.
5. Sign the bins that changed; with enough signatures, write metadata and switch by renaming the timestamp.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from securesystemslib.signer import Signer

from millcert.errors import UsageError
from millcert.keys import Draft, variant_role, write_draft
from millcert.keys.authority import DEFAULT_LIFETIMES, Lifetimes
from millcert.lock import Lock, LockedFile, Pin
from millcert.names import NormalizedName
from millcert.publish.artifact import Verifier, check_release, read_artifact
from millcert.publish.ceremony import authority_of, expiring, renew_roles
from millcert.publish.closure import check_locked_names, check_requirements
from millcert.publish.errors import ReleaseRefusedError
from millcert.publish.page import Page, PageFile, page_path, parse_page, project_list
from millcert.publish.plan import Plan, draft_pages
from millcert.publish.release import Release
from millcert.publish.site import Site
from millcert.publish.state import State, load_state
from millcert.publish.switch import commit
from millcert.publish.thirdparty import ThirdParty, check_refer, listed_names
from millcert.publish.views import finish_views
from millcert.store import Store

__all__ = ["Outcome", "Publisher", "Request"]


_SOON = timedelta(days=30)


@dataclass(frozen=True)
class Request:
    """What to publish where: wheels of one variant, the lock of its dependencies, the names that are ours."""

    index: str
    wheels: Sequence[Path]
    lock: Lock
    owned: frozenset[NormalizedName]
    retain: int | None = None
    refer: str = ""
    base_url: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a change: the timestamp version in force, the pages that changed, and a draft if one waits."""

    version: int
    pages: tuple[str, ...]
    draft: Path | None = None


@dataclass(frozen=True)
class Publisher:
    """A site, what is trusted about it, and the keys at hand; every method is one change, safe to repeat.

    ``drafts``: where a change that still lacks signatures is put; without it such a change is an error.
    """

    site: Site
    trusted_root: bytes
    signers: Sequence[Signer]
    lifetimes: Lifetimes = DEFAULT_LIFETIMES
    drafts: Path | None = None
    floor: int = 0

    def publish(self, request: Request, store: Store, verify: Verifier, now: datetime) -> Outcome:
        """Publish wheels; raises PublishError, VerificationError, ConfusionError or UnsignedError, changing nothing."""
        channel, _, variant = request.index.partition("/")
        third_party = _third_party(request, now)
        artifacts = [read_artifact(path) for path in request.wheels]
        if not artifacts:
            raise UsageError("no wheels to publish", fix="name the wheels, such as dist/*.whl")
        check_locked_names(request.lock, request.owned)
        for artifact in artifacts:
            check_release(artifact, channel, variant, request.owned)
            check_requirements(artifact.metadata, artifact.filename, request.owned, third_party.versions)
        verified = [(artifact, verify(artifact)) for artifact in artifacts]
        if bare := [artifact for artifact, builders in verified if not builders]:
            raise ReleaseRefusedError("nobody whom the policy names attests the wheel", file=bare[0].filename)
        with self.site.locked():
            plan = self._begin()
            third_party.plan(plan, store)
            for name in dict.fromkeys(artifact.metadata.name for artifact in artifacts):
                wheels = [one for one in verified if one[0].metadata.name == name]
                Release(request.index, name, wheels, request.retain, request.base_url, now).plan(plan, third_party)
            names = listed_names(plan, request.index) | {artifact.metadata.name for artifact in artifacts}
            names |= set(third_party.versions)
            plan.put_page(page_path(request.index), project_list(names, third_party.digest))
            return self._finish(plan, now)

    def needed(self, request: Request, now: datetime) -> list[tuple[Pin, LockedFile]]:
        """The locked files that ``publish`` will look for in the store: those that the index does not list yet."""
        return _third_party(request, now).needed(Plan(load_state(self.site, self.trusted_root, floor=self.floor)))

    def yank(self, index: str, name: NormalizedName, filenames: Iterable[str], reason: str, now: datetime) -> Outcome:
        """Mark files as yanked (PEP 592), or with an empty reason as good again; their bytes stay served."""
        with self.site.locked():
            plan = self._begin()
            path = page_path(index, name)
            page = _listed(plan, path)
            files = [replace(_file(page, filename), yanked=reason) for filename in filenames]
            plan.put_page(path, page.with_files(files).to_bytes())
            return self._finish(plan, now)

    def set_status(self, index: str, name: NormalizedName, status: str, reason: str, now: datetime) -> Outcome:
        """Set a project's status on an index (PEP 792)."""
        with self.site.locked():
            plan = self._begin()
            path = page_path(index, name)
            plan.put_page(path, _listed(plan, path).with_status(status, reason).to_bytes())
            return self._finish(plan, now)

    def refresh(self, now: datetime) -> Outcome:
        """Sign a new timestamp and snapshot, and anew what expires soon and the keys at hand can sign."""
        with self.site.locked():
            state = self._begin().state
            due = [name for name in expiring(state, now, _SOON) if name != "root" and self._can_sign(state, name)]
            draft = renew_roles(state, due, now, self.lifetimes)
            draft.sign(self.signers)
            return self._commit(state, draft, now, ())

    def _can_sign(self, state: State, name: str) -> bool:
        role = authority_of(state, name)
        return len({key.keyid for key in role.keys} & {s.public_key.keyid for s in self.signers}) >= role.threshold

    def _begin(self) -> Plan:
        state = load_state(self.site, self.trusted_root, floor=self.floor)
        finish_views(state)
        return Plan(state)

    def _finish(self, plan: Plan, now: datetime) -> Outcome:
        plan.write(self.site)
        if not plan.pages:
            return Outcome(plan.state.version("timestamp"), ())
        draft = draft_pages(plan, now, self.lifetimes)
        draft.sign(self.signers)
        if draft.missing() and self.drafts is not None:
            self.drafts.mkdir(parents=True, exist_ok=True)
            path = self.drafts / f"{min(draft.metadata)}.{plan.state.version('timestamp') + 1}.draft.json"
            write_draft(draft, path)
            return Outcome(plan.state.version("timestamp"), tuple(plan.pages), path)
        return self._commit(plan.state, draft, now, tuple(plan.pages))

    def _commit(self, state: State, draft: Draft, now: datetime, pages: tuple[str, ...]) -> Outcome:
        return Outcome(commit(self.site, state, draft, self.signers, now, self.lifetimes), pages)


def _third_party(request: Request, now: datetime) -> ThirdParty:
    variant_role(request.index)
    refer = check_refer(request.refer) if request.refer else ""
    return ThirdParty(request.index, request.lock, request.owned, refer, now)


def _listed(plan: Plan, path: str) -> Page:
    if (data := plan.state.page(path)) is None:
        raise UsageError("the index has no such project", page=path)
    return parse_page(data)


def _file(page: Page, filename: str) -> PageFile:
    if (file := page.file(filename)) is None:
        raise UsageError("the project has no such file on this index", project=page.name, file=filename)
    return file

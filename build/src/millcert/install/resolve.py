"""Which wheels to install: the newest release that fits, and with it exactly what its signed lock names.

Nothing is resolved in the usual sense: a release has one lock, the lock's files must be on the verified pages, and
where together they do not satisfy every requirement the installation is refused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from packaging.pylock import Package, Pylock, PylockValidationError
from packaging.version import Version

from millcert.errors import ConfigError
from millcert.guard import Answer, Presence, ResolverPolicy
from millcert.install.client import VerifiedIndex
from millcert.install.environment import Environment
from millcert.install.errors import EvidenceError, ResolutionError
from millcert.install.wheelfile import CheckedWheel
from millcert.lock.namespaces import Namespaces
from millcert.model import Digest, parse_digest
from millcert.names import NormalizedName, normalize
from millcert.publish.page import Page, PageFile

__all__ = ["Choice", "candidates", "check_complete", "dependencies", "locked_digests", "project_page"]

_LOCK = "lock"


@dataclass(frozen=True)
class Choice:
    """A wheel to install, as its verified page lists it."""

    name: NormalizedName
    file: PageFile


def policy_of(project: NormalizedName, index: str) -> ResolverPolicy:
    """The project's name belongs to its index; every other name must be in the release's lock, by hash."""
    return ResolverPolicy(Namespaces(_LOCK, {project: index}, {}))


def project_page(index: VerifiedIndex, where: str, project: NormalizedName) -> Page:
    """The project's own page; NameAbsentError where the index has none, ResolutionError while it is quarantined."""
    page = index.page(where, project)
    presence = Presence.ABSENT if page is None else Presence.PRESENT
    policy_of(project, where).decide(project, {where: Answer(presence)})
    assert page is not None
    if page.status == "quarantined":
        raise ResolutionError("the project is quarantined", project=project, index=where, reason=page.reason)
    return page


def candidates(page: Page, environment: Environment, version: Version | None) -> list[PageFile]:
    """The files that fit, best first: of each version the best wheel, newest version first."""
    best: dict[Version, tuple[int, PageFile]] = {}
    for file in page.files:
        rank = environment.rank(file.filename)
        fits = rank is not None and environment.satisfies(file.requires_python)
        wanted = file.version == version if version else not file.yanked
        if rank is not None and fits and wanted and rank < best.get(file.version, (rank + 1, file))[0]:
            best[file.version] = (rank, file)
    if best:
        return [best[found][1] for found in sorted(best, reverse=True)]
    raise ResolutionError(
        "the index lists no release that fits", project=page.name, version=version or "any",
        python=f"{environment.markers['python_full_version']} on {environment.markers['platform_machine']}",
        listed=", ".join(sorted({str(file.version) for file in page.files})[-5:]) or "none",
    )  # fmt: skip


def dependencies(
    index: VerifiedIndex, where: str, release: Choice, pylock: bytes, environment: Environment
) -> list[Choice]:
    """The wheels that a release's lock names and that fit; each must be on its verified page with the same hash."""
    policy = policy_of(release.name, where)
    chosen = []
    for package in _packages(pylock):
        name = normalize(package.name)
        digests = _digests(package)
        if name == release.name:
            policy.admit(name, index=where, digest=release.file.digest, locked=set(digests.values()))
            continue
        page = index.page(where, name)
        policy.decide(name, {_LOCK: Answer(Presence.ABSENT if page is None else Presence.PRESENT)})
        assert page is not None
        ranked = [(rank, file) for file in digests if (rank := environment.rank(file)) is not None]
        if not ranked:
            continue  # whether it is needed here is seen when everything is together
        listed = page.file(min(ranked)[1])
        if listed is None or page.status == "quarantined":
            raise ResolutionError("a locked file is not offered by the index", project=name, file=min(ranked)[1])
        policy.admit(name, index=_LOCK, digest=listed.digest, locked={digests[listed.filename]})
        chosen.append(Choice(name, listed))
    return chosen


def locked_digests(pylock: bytes) -> dict[str, Digest]:
    """Every file of a lock by its sha256."""
    return {filename: digest for package in _packages(pylock) for filename, digest in _digests(package).items()}


def check_complete(wheels: Sequence[CheckedWheel], markers: Mapping[str, str]) -> None:
    """Every requirement that applies is satisfied by one of the wheels, and no two wheels write one path."""
    versions = {wheel.name: wheel.version for wheel in wheels}
    for wheel in wheels:
        for requirement in wheel.requires:
            if requirement.marker is not None and not requirement.marker.evaluate({**markers, "extra": ""}):
                continue
            found = versions.get(normalize(requirement.name))
            if found is None or not requirement.specifier.contains(found, prereleases=True):
                raise ResolutionError(
                    "the release's lock does not satisfy a requirement", file=wheel.filename,
                    expected=requirement, found=found or "not in the lock, or no wheel that fits",
                )  # fmt: skip
    _check_paths(wheels)


def _check_paths(wheels: Iterable[CheckedWheel]) -> None:
    owners: dict[str, str] = {}
    for wheel in wheels:
        for path in wheel.installed():
            other = owners.setdefault(path.casefold(), wheel.filename)
            if other != wheel.filename:
                raise ResolutionError("two wheels write one file", path=path, first=other, second=wheel.filename)


def _packages(pylock: bytes) -> Sequence[Package]:
    try:
        return Pylock.from_dict(tomllib.loads(pylock.decode())).packages
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, PylockValidationError, ValueError) as error:
        raise EvidenceError("the release's lock is not a pylock.toml", reason=error) from error


def _digests(package: Package) -> dict[str, Digest]:
    if not package.wheels:
        raise EvidenceError("the release's lock names something other than wheels", project=package.name)
    try:
        return {wheel.filename: parse_digest(wheel.hashes["sha256"]) for wheel in package.wheels}
    except (KeyError, ConfigError) as error:
        raise EvidenceError("the release's lock names a file without its hash", project=package.name) from error

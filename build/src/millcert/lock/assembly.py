"""From versions and index pages to a lock: the rules, as functions of bytes already fetched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from millcert.errors import LockError
from millcert.index.page import IndexFile, ProjectPage
from millcert.lock.lockfile import LockedFile, Pin
from millcert.lock.namespaces import Namespaces
from millcert.lock.requirements import Wanted
from millcert.lock.resolver import Resolution
from millcert.lock.selection import Target, best_file
from millcert.model import Digest
from millcert.names import NormalizedName, normalize

__all__ = ["assemble", "by_index"]


def by_index(wanted: Sequence[Wanted], namespaces: Namespaces) -> dict[str, list[Wanted]]:
    """Requirements grouped by the index that their names belong to."""
    groups: dict[str, list[Wanted]] = {}
    for item in wanted:
        groups.setdefault(namespaces.index_of(item.name), []).append(item)
    return groups


def assemble(
    resolved: Mapping[str, Sequence[Resolution]],
    wanted: Sequence[Wanted],
    targets: Sequence[Target],
    namespaces: Namespaces,
    page: Callable[[str, NormalizedName], ProjectPage],
    size: Callable[[IndexFile], int],
) -> list[Pin]:
    """The pins of a lock, from what each index's resolution gave.

    ``page`` brings a project's page from one index, ``size`` the size of a file whose index does not say it.
    Raises ConfusionError for a name from an index it does not belong to, LockError for one on two indexes, without
    a hash, without a fitting wheel, or yanked.
    """
    origins: dict[NormalizedName, set[str]] = {}
    for item in wanted:
        origins.setdefault(item.name, set()).add(f"-r {item.origin}")
    pins: dict[NormalizedName, Pin] = {}
    for index, resolutions in sorted(resolved.items()):
        for resolution in resolutions:
            namespaces.check_origin(resolution.name, index)
            if (other := pins.get(resolution.name)) is not None:
                raise LockError("a name on two indexes", name=resolution.name, first=other.index, second=index)
            files = _files(resolution, page(index, resolution.name), targets, size)
            via = sorted(origins.get(resolution.name, set()) | set(resolution.via))
            pins[resolution.name] = Pin(resolution.name, resolution.version, index, files, tuple(via))
    return [pins[name] for name in sorted(pins)]


def _files(
    resolution: Resolution, page: ProjectPage, targets: Sequence[Target], size: Callable[[IndexFile], int]
) -> tuple[LockedFile, ...]:
    """The best wheel for every target, as the assigned index lists it."""
    listed = {file.filename: file for file in page.files if _is_wheel_of(file, resolution)}
    sizes = {name: file.size if file.size is not None else -1 for name, file in listed.items()}
    candidates = [LockedFile(name, _digest(file, page), sizes[name]) for name, file in listed.items()]
    chosen = {best for target in targets if (best := best_file(candidates, target)) is not None}
    evidence = {"name": resolution.name, "version": resolution.version, "index": page.index}
    if best_file(candidates, targets[0]) is None:
        others = ", ".join(file.filename for file in page.files if f"-{resolution.version}" in file.filename)
        raise LockError(
            "the index has no wheel for the target; a source distribution is never locked",
            **evidence, files=others[:400],
        )  # fmt: skip
    for file in chosen:
        if listed[file.filename].yanked:
            raise LockError(
                "a yanked file", **evidence, file=file.filename,
                fix=f"`millcert lock --upgrade-package {resolution.name}`, or ask for another version",
            )  # fmt: skip
    return tuple(sorted(replace(file, size=size(listed[file.filename])) if file.size < 0 else file for file in chosen))


def _is_wheel_of(file: IndexFile, resolution: Resolution) -> bool:
    if not file.filename.endswith(".whl"):
        return False
    try:
        name, version, _, _ = parse_wheel_filename(file.filename)
        return normalize(name) == resolution.name and version == Version(resolution.version)
    except (InvalidWheelFilename, InvalidVersion):
        return False  # old or broken names that no installer accepts either


def _digest(file: IndexFile, page: ProjectPage) -> Digest:
    if file.sha256 is None:
        raise LockError(
            "the index gives no sha256 for a file", index=page.index, name=page.name, file=file.filename,
            fix="use an index that lists hashes (PEP 503 fragments or PEP 691)",
        )  # fmt: skip
    return file.sha256

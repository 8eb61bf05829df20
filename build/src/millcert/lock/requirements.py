"""What a ``.in`` file may ask for: names with versions, extras and markers. Everything else is refused.

Addresses, paths, options and hashes have no place in it: where a name comes from is decided by the
namespace map alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from millcert.errors import LockError
from millcert.names import NormalizedName, normalize

__all__ = ["Wanted", "parse_requirements", "read_requirements"]

_ARCHIVES = (".whl", ".zip", ".gz", ".bz2", ".xz", ".tgz")  # pip takes such a name for a path


@dataclass(frozen=True)
class Wanted:
    """One requirement and the file that asks for it, as a path relative to the project."""

    requirement: Requirement
    origin: str

    @property
    def name(self) -> NormalizedName:
        """The project's normalised name."""
        return normalize(self.requirement.name)


def read_requirements(path: Path, project: Path) -> list[Wanted]:
    """All requirements of a file and of those it includes with ``-r``, in order.

    Raises LockError where one is something that must never be locked, or a file is missing or includes itself.
    """
    return list(_read(path, project, ()))


def _read(path: Path, project: Path, above: tuple[Path, ...]) -> Iterator[Wanted]:
    path = path.resolve()
    origin = _inside(path, project)
    if path in above:
        raise LockError("a requirements file that includes itself", file=origin)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LockError("there is no such requirements file", file=origin) from None
    for item in parse_requirements(text, origin):
        if isinstance(item, Wanted):
            yield item
        else:
            yield from _read(path.parent / item, project, (*above, path))


def _inside(path: Path, project: Path) -> str:
    try:
        return path.relative_to(project.resolve()).as_posix()
    except ValueError:
        raise LockError("a requirements file outside the project", file=path, project=project) from None


def parse_requirements(text: str, origin: str) -> Iterator[Wanted | str]:
    """The requirements of one file's text; an included file is given as its path."""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("-r "):
            yield line[3:].strip()
        else:
            yield Wanted(_requirement(line, origin, number), origin)


def _requirement(line: str, origin: str, number: int) -> Requirement:
    if line.startswith("-"):
        raise LockError(
            "only names and `-r FILE` may stand in a requirements file, no options",
            file=origin, line=number, found=line.split()[0],
            fix="indexes come from lockfiles/namespaces.toml and the client's own configuration",
        )  # fmt: skip
    try:
        requirement = Requirement(line)
    except InvalidRequirement as error:
        raise LockError("not a requirement by name", file=origin, line=number, found=line[:120]) from error
    if requirement.name.lower().endswith(_ARCHIVES):
        raise LockError("a file cannot be locked, only a name", file=origin, line=number, found=requirement.name)
    if requirement.url:
        raise LockError(
            "a requirement by address cannot be locked: no index vouches for it",
            file=origin, line=number, name=requirement.name, fix="ask for it by name and version",
        )  # fmt: skip
    return requirement

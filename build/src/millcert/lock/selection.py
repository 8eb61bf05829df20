"""Which wheel of a pin fits a target: PEP 425 tags of CPython on glibc, computed without asking the host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from millcert.errors import LockError
from millcert.lock.lockfile import Lock, LockedFile, Pin

__all__ = ["Target", "best_file", "select"]

_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}  # PEP 600 aliases


@dataclass(frozen=True, order=True)
class Target:
    """A CPython on a glibc Linux; the default is the build root's (Debian 12)."""

    architecture: str = "x86_64"
    python: tuple[int, int] = (3, 11)
    glibc: int = 36  # the minor number of glibc 2.x, a ceiling

    def tags(self) -> list[Tag]:
        """Wheel tags from best to worst."""
        platforms = list(self.platforms())
        interpreter = f"cp{self.python[0]}{self.python[1]}"
        tags = [*cpython_tags(self.python, [interpreter], platforms)]
        return [*tags, *compatible_tags(self.python, interpreter, platforms)]

    def platforms(self) -> Iterator[str]:
        """Platform tags from newest to oldest, with the legacy aliases of PEP 600."""
        oldest = 17 if self.architecture == "aarch64" else 5
        for minor in range(self.glibc, oldest - 1, -1):
            yield f"manylinux_2_{minor}_{self.architecture}"
            if minor in _LEGACY:
                yield f"{_LEGACY[minor]}_{self.architecture}"


def best_file(files: Iterable[LockedFile], target: Target) -> LockedFile | None:
    """The wheel that pip would prefer on a target, or None where none fits."""
    rank = {tag: number for number, tag in enumerate(target.tags())}
    best: tuple[int, LockedFile] | None = None
    for file in sorted(files):
        _, _, _, tags = parse_wheel_filename(file.filename)
        place = min((rank[tag] for tag in tags if tag in rank), default=None)
        if place is not None and (best is None or place < best[0]):
            best = (place, file)
    return best[1] if best else None


def select(lock: Lock, platform: str | Target = "x86_64") -> list[tuple[Pin, LockedFile]]:
    """The one best wheel of every pin for an architecture (or a whole target), offline.

    Raises LockError where a pin has no wheel for it.
    """
    target = platform if isinstance(platform, Target) else Target(platform)
    return [(pin, _fitting(lock, pin, target)) for pin in lock.pins]


def _fitting(lock: Lock, pin: Pin, target: Target) -> LockedFile:
    if (file := best_file(pin.files, target)) is not None:
        return file
    raise LockError(
        "no locked wheel fits the target",
        file=lock.path, name=pin.name, target=f"CPython {_dotted(target.python)} on {target.architecture}",
        wheels=", ".join(file.filename for file in pin.files),
    )  # fmt: skip


def _dotted(numbers: Sequence[int]) -> str:
    return ".".join(str(number) for number in numbers)

"""Bringing a site to where it is served, a folder or a server that takes PUT, in the order that keeps readers safe.

1. What never changes: wheels, evidence, signed pages, metadata. Nothing that is served refers to it yet.
2. ``tuf/timestamp.json``: the switch.
3. The views of clients without TUF, in the order in which the publisher wrote them.

Cut off anywhere, the target serves the state before, or the one after; the same command continues. What never changes
is sent once: a bucket is asked for each such file once, and what is there is noted beside the site.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from millcert.index import AbsentError, Transport
from millcert.model import canonical_json, chunks_of, digest_of, digest_of_file
from millcert.publish.errors import NameTakenError, SiteStateError
from millcert.publish.site import PRIVATE, FolderSite
from millcert.publish.state import TIMESTAMP, load_state

__all__ = ["FolderPlace", "HttpPlace", "Place", "Sent", "phases", "upload"]

_SIGNED = re.compile(r"(^|/)[0-9a-f]{64}[./]")  # the digest is part of the name
_MOST_TIMESTAMP = 1 << 20
_FOREVER = "public, max-age=31536000, immutable"
_TYPES = {
    "index.json": "application/vnd.pypi.simple.v1+json", ".html": "text/html; charset=utf-8",
    ".json": "application/json", ".toml": "application/toml",
}  # fmt: skip
Progress = Callable[[str, int, int], None]


class Place(Protocol):
    """Where a site is served from."""

    name: str

    def read(self, path: str, limit: int) -> bytes | None:
        """The bytes at a path, or None."""

    def has(self, path: str, source: Path) -> bool:
        """Whether a file that never changes is there, as far as can be told without reading it."""

    def create(self, path: str, source: Path) -> None:
        """Put a file that never changes."""

    def replace(self, path: str, source: Path) -> None:
        """Put a file over what was there, in one step."""


@dataclass(frozen=True)
class Sent:
    """How many files were sent that never change, how many views were replaced, and the timestamp then in force."""

    files: int
    views: int
    timestamp: int


def phases(root: Path) -> tuple[list[str], list[str]]:
    """The files of a site but for its timestamp: those that never change, and the views, in the order to send them."""
    fixed: list[str] = []
    views: list[str] = []
    found = [path for path in root.rglob("*") if path.is_file()]
    for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, path)):
        name = path.relative_to(root).as_posix()
        if name.startswith(f"{PRIVATE}/") or name == TIMESTAMP:
            continue
        (fixed if name.startswith(("files/", "tuf/")) or _SIGNED.search(name) else views).append(name)
    return fixed, views


def upload(site: FolderSite, trusted_root: bytes, place: Place, progress: Progress, *, recheck: bool = False) -> Sent:
    """Bring the site's state to a place; SiteStateError where the site does not verify or the place is newer.

    ``recheck``: ask the place for every file again instead of believing the note of an earlier run.
    """
    with site.locked():
        state = load_state(site, trusted_root)
        _check_not_newer(place, state.version("timestamp"))
        fixed, views = phases(site.root)
        with _noted(site, place, recheck) as there:
            sent = _send_fixed(site.root, place, [path for path in fixed if path not in there], there, progress)
            place.replace(TIMESTAMP, site.root / TIMESTAMP)
            changed = _send_views(site.root, place, views, there, progress)
    return Sent(sent, changed, state.version("timestamp"))


def _send_fixed(root: Path, place: Place, paths: Iterable[str], there: dict[str, str], progress: Progress) -> int:
    sent = 0
    for path in paths:
        source = root / path
        if not place.has(path, source):
            place.create(path, source)
            sent += 1
        there[path] = ""
        _report(progress, path, source)
    return sent


def _send_views(root: Path, place: Place, paths: Iterable[str], there: dict[str, str], progress: Progress) -> int:
    sent = 0
    for path in paths:
        source = root / path
        if there.get(path) == (digest := digest_of_file(source)):
            continue
        place.replace(path, source)
        there[path] = digest
        sent += 1
        _report(progress, path, source)
    return sent


class FolderPlace:
    """Another folder of this machine, or one that is mounted."""

    def __init__(self, root: Path) -> None:
        self.name, self._site = str(root.absolute()), FolderSite(root)

    def read(self, path: str, limit: int) -> bytes | None:
        """The bytes at a path, or None."""
        return self._site.read(path)

    def has(self, path: str, source: Path) -> bool:
        """Whether a file is there; files appear whole or not at all."""
        return self._site.exists(path)

    def create(self, path: str, source: Path) -> None:
        """Copy a file, its bytes checked."""
        with source.open("rb") as stream:
            self._site.create(path, chunks_of(stream), digest_of_file(source))

    def replace(self, path: str, source: Path) -> None:
        """Copy a file over what was there."""
        self._site.replace(path, source.read_bytes())


class HttpPlace:
    """A server or bucket: HEAD, GET and PUT below an address. ``headers`` authorise, and are sent to it alone."""

    def __init__(self, address: str, transport: Transport, headers: Mapping[str, str]) -> None:
        self.name, self._transport, self._headers = address.rstrip("/") + "/", transport, dict(headers)

    def read(self, path: str, limit: int) -> bytes | None:
        """The bytes at a path, or None."""
        try:
            return self._transport.read(self._address(path), accept="*/*", limit=limit, headers=self._headers)[0]
        except AbsentError:
            return None

    def has(self, path: str, source: Path) -> bool:
        """Whether something of that size is there: an upload that a server tore is sent again."""
        size = self._transport.retrying(lambda: self._transport.head(self._address(path), self._headers))
        return size == source.stat().st_size

    def create(self, path: str, source: Path) -> None:
        """Send a file that never changes; NameTakenError where other bytes were put there meanwhile."""
        fresh = {"If-None-Match": "*"} if self._transport.head(self._address(path), self._headers) is None else {}
        if not self._put(path, source, {"Cache-Control": _FOREVER, **fresh}) and not self.has(path, source):
            raise NameTakenError("the name is taken by other bytes", file=path, place=self.name)

    def replace(self, path: str, source: Path) -> None:
        """Send a file over what was there."""
        self._put(path, source, {"Cache-Control": "no-cache"})

    def _put(self, path: str, source: Path, headers: Mapping[str, str]) -> bool:
        kind = next((kind for end, kind in _TYPES.items() if path.endswith(end)), "application/octet-stream")

        def attempt() -> bool:
            with source.open("rb") as stream:
                return self._transport.put(
                    self._address(path), stream, {**self._headers, "Content-Type": kind, **headers}
                )

        return self._transport.retrying(attempt)

    def _address(self, path: str) -> str:
        return self.name + quote(path)


@contextlib.contextmanager
def _noted(site: FolderSite, place: Place, recheck: bool) -> Iterator[dict[str, str]]:
    """What is known to be at a place, path → digest of a view, kept beside the site even when a run is cut off."""
    path = f"{PRIVATE}/there-{digest_of(place.name.encode())[:16]}.json"
    data = None if recheck else site.read(path)
    try:
        there = {str(name): str(digest) for name, digest in json.loads(data or b"{}").items()}
    except (ValueError, AttributeError):
        there = {}  # a damaged note costs only questions
    try:
        yield there
    finally:
        site.replace(path, canonical_json(there))


def _check_not_newer(place: Place, version: int) -> None:
    data = place.read(TIMESTAMP, _MOST_TIMESTAMP)
    if data is None:
        return
    try:
        found = int(json.loads(data)["signed"]["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise SiteStateError("what is served there is no index", place=place.name, reason=error) from error
    if found > version:
        raise SiteStateError(
            "the place serves a newer state than this site: it was put back in time, or another one publishes there",
            place=place.name, there=found, here=version, fix="publish from the newest copy of the site",
        )  # fmt: skip


def _report(progress: Progress, path: str, source: Path) -> None:
    size = source.stat().st_size
    progress(path.rpartition("/")[2], size, size)

"""Where the files of an index come from: a server, or an offline kit. Nothing that either says is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from urllib.parse import quote, urljoin, urlsplit

import requests

from millcert.errors import FetchError
from millcert.index import AbsentError, ClientConfiguration, OversizeError, Progress, Transport
from millcert.index.download import Download, download_all
from millcert.index.transport import redacted
from millcert.model import Digest
from millcert.store import Store

__all__ = ["BoundTransport", "HttpSource", "KitSource", "Source", "Wanted"]

_PATIENCE, _SLOWEST = 60.0, 1024.0  # seconds before the average rate is looked at; bytes a second


@dataclass(frozen=True)
class Wanted:
    """A file that a verified page pins; ``path`` is below the site's root, or an absolute address."""

    path: str
    filename: str
    digest: Digest
    size: int


class Source(Protocol):
    """What a client needs of an index: small files whole, pinned files into a store."""

    def read(self, path: str, limit: int) -> bytes:
        """A file of at most ``limit`` bytes; AbsentError, OversizeError or another FetchError."""
        ...

    def bring(self, wanted: Sequence[Wanted], store: Store, progress: Progress) -> None:
        """Pinned files into the store, each with its digest checked."""
        ...


class BoundTransport(Transport):
    """A transport that follows no redirect to another host, and leaves a server that only drips."""

    def __init__(self, configuration: ClientConfiguration, **how: Callable[..., object]) -> None:
        super().__init__(configuration, **how)  # type: ignore[arg-type]  # sleep and clock, as there

    def _check_address(self, address: str, start: str) -> None:
        super()._check_address(address, start)
        if urlsplit(address).netloc != urlsplit(start).netloc:
            raise FetchError(
                "the index redirects to another host", address=redacted(start), found=redacted(address),
                fix="name the address that serves the files itself",
            )  # fmt: skip

    def pieces(self, response: requests.Response, *, decode: bool = False) -> Iterator[bytes]:
        """The body as it comes; FetchError where it comes slower than 1 KiB a second over a minute."""
        begun, received = self.clock(), 0
        for piece in super().pieces(response, decode=decode):
            received += len(piece)
            seconds = self.clock() - begun
            if seconds > _PATIENCE and received < seconds * _SLOWEST:
                raise FetchError("the server is too slow", address=redacted(response.url), received=received)
            yield piece


class HttpSource:
    """A site on a web server."""

    def __init__(self, address: str, transport: Transport) -> None:
        self.address, self.transport = address.rstrip("/") + "/", transport

    def read(self, path: str, limit: int) -> bytes:
        """A file's bytes; they are checked by whoever asked."""
        return self.transport.read(self._address(path), accept="*/*", limit=limit)[0]

    def bring(self, wanted: Sequence[Wanted], store: Store, progress: Progress) -> None:
        """Download what the store lacks, resumed after an interruption."""
        items = [Download(one.filename, one.digest, one.size, partial(self._address, one.path)) for one in wanted]
        download_all(items, store, self.transport, progress)

    def _address(self, path: str) -> str:
        return path if "://" in path else urljoin(self.address, quote(path))


class KitSource:
    """The files of an offline kit, which are in a store already; ``paths`` is what the kit says they are."""

    def __init__(self, paths: Mapping[str, Digest], store: Store) -> None:
        self.paths, self.store = paths, store

    def read(self, path: str, limit: int) -> bytes:
        """A file's bytes; AbsentError where the kit lacks it."""
        if path not in self.paths:
            raise AbsentError("the kit has no such file", file=path)
        file = self.store.path(self.paths[path])
        if file.stat().st_size > limit:
            raise OversizeError("a file of the kit is too long", file=path, limit=limit)
        return file.read_bytes()

    def bring(self, wanted: Sequence[Wanted], store: Store, progress: Progress) -> None:
        """Check that the pinned files are there."""
        for one in wanted:
            if not store.has(one.digest):
                raise AbsentError("the kit lacks a file", file=one.filename, sha256=one.digest)
            progress(one.filename, one.size, one.size)

"""Bring locked files into the store: resumed after an interruption, never kept unless size and sha256 are right."""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import requests

from millcert.errors import DiskFullError, FetchError, HashMismatchError
from millcert.index.transport import AbsentError, OversizeError, Transport, UnavailableError, redacted
from millcert.model import Digest, chunks_of
from millcert.store import Store
from millcert.threads import first_ended

__all__ = ["Download", "Progress", "download", "download_all"]

_PARALLEL = 4
_PATIENCE = 60.0  # seconds before the average rate is looked at
_SLOWEST = 1024.0  # bytes a second


class Progress(Protocol):
    """Called, from several threads, with a file's name, the bytes that are here and the bytes it has."""

    def __call__(self, filename: str, received: int, size: int) -> None: ...


@dataclass(frozen=True)
class Download:
    """One file to bring; ``address`` is asked for only when the store lacks it."""

    filename: str
    digest: Digest
    size: int
    address: Callable[[], str]


class _StoppedError(FetchError):
    """Another download failed or the user interrupted; what is here is kept for the next run."""


def download_all(wanted: Iterable[Download], store: Store, transport: Transport, progress: Progress) -> None:
    """Every file that the store lacks, a few at a time; the first error (in the order given) is raised."""
    missing: dict[Digest, Download] = {}
    for item in wanted:
        if store.has(item.digest):
            progress(item.filename, item.size, item.size)
        else:
            missing.setdefault(item.digest, item)
    if not missing:
        return
    stop = threading.Event()

    def one(item: Download) -> None:
        try:
            download(item, store, transport, progress, stop)
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="download") as pool:
        futures = [pool.submit(one, item) for item in missing.values()]
        try:
            running = set(futures)
            while running:
                running -= first_ended(running)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    _raise_first([error for future in futures if (error := future.exception()) is not None])


def _raise_first(errors: Sequence[BaseException]) -> None:
    for error in sorted(errors, key=lambda error: isinstance(error, _StoppedError | KeyboardInterrupt)):
        raise error


def download(
    item: Download, store: Store, transport: Transport, progress: Progress, stop: threading.Event | None = None
) -> None:
    """One file into the store. Raises FetchError, HashMismatchError or DiskFullError; nothing wrong is ever kept."""
    stop = stop or threading.Event()
    with store.lock(f"download {item.digest}", stop), _disk(store):
        if store.has(item.digest):  # another process was quicker
            return
        receiving = _Receiving(item, store, transport, progress, stop)
        resumed = receiving.partial.exists()
        try:
            receiving.run()
        except HashMismatchError:
            if not resumed:
                raise
            receiving.run()  # the bytes of the earlier run may be the wrong ones: once more from the start


class _Receiving:
    """One file on its way: a partial file, named by the digest it must have, that grows over tries and runs."""

    def __init__(
        self, item: Download, store: Store, transport: Transport, progress: Progress, stop: threading.Event
    ) -> None:
        self.item, self.store, self.transport, self.stop = item, store, transport, stop
        self.progress = progress
        self.partial = store.root / "tmp" / f"partial-{item.digest}"
        self.address = item.address()
        self.begun, self.received = transport.clock(), 0

    def run(self) -> None:
        """Receive until all bytes are here, then keep them if they are the right ones."""
        while True:
            before = self._have()
            try:
                self.transport.retrying(self._receive)
                return self._keep()
            except AbsentError as error:
                raise AbsentError(error.message, file=self.item.filename, **error.evidence) from error
            except UnavailableError:
                # a bad line that still brings something is followed to the end; `_check_rate` bounds it
                if self._have() <= before:
                    raise

    def _have(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _receive(self) -> None:
        """Append to the partial file until it has the file's size."""
        have = self._have()
        if have == self.item.size and have:
            return
        if have > self.item.size:
            have = 0
        with self.transport.open(self.address, {"Range": f"bytes={have}-"} if have else {}) as response:
            self._append(response, have if _continues(response, have) else 0)

    def _append(self, response: requests.Response, have: int) -> None:
        name, size = self.item.filename, self.item.size
        with self.partial.open("r+b" if have else "wb") as stream:
            stream.seek(have)
            self.progress(name, have, size)
            for piece in self.transport.pieces(response):
                have += len(piece)
                if have > size:
                    stream.truncate(0)
                    raise OversizeError(
                        "the server sends more bytes than the locked file has",
                        file=name, expected=size, address=redacted(response.url),
                    )  # fmt: skip
                stream.write(piece)
                self.progress(name, have, size)
                self._check_rate(len(piece))
        if have < size:
            raise UnavailableError(
                "the file was cut off", file=name, expected=f"{size} bytes", found=f"{have} bytes",
                fix="run the same command again; it goes on from there",
            )  # fmt: skip

    def _check_rate(self, count: int) -> None:
        if self.stop.is_set():
            raise _StoppedError("stopped", file=self.item.filename)
        self.received += count
        seconds = self.transport.clock() - self.begun
        if seconds > _PATIENCE and self.received < seconds * _SLOWEST:
            rate = f"{self.received / seconds:.0f} bytes/s"
            raise FetchError("the server is too slow", file=self.item.filename, rate=rate)

    def _keep(self) -> None:
        try:
            with self.partial.open("rb") as stream:
                self.store.add_stream(chunks_of(stream), expected=self.item.digest)
        except HashMismatchError as error:
            self.partial.unlink()
            raise HashMismatchError(
                "a download is not the locked file; it was thrown away",
                file=self.item.filename, expected=self.item.digest, found=error.evidence.get("found"),
                address=redacted(self.address),
                fix="do not relock before you know why: the index or something on the way to it altered the file",
            ) from error  # fmt: skip
        self.partial.unlink()


def _continues(response: requests.Response, have: int) -> bool:
    """Whether the server really sends the rest: it may ignore Range, or answer with another one."""
    content_range: str = response.headers.get("Content-Range", "")
    return response.status_code == 206 and content_range.startswith(f"bytes {have}-")


@contextlib.contextmanager
def _disk(store: Store) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFullError(
            "no space is left for downloads; what is here is kept and continued later",
            store=store.root, fix="free some space (`millcert store gc`), then run the same command again",
        ) from error  # fmt: skip

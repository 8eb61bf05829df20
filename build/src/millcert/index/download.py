"""Bring locked files into the store: resumed after an interruption, never kept unless size and sha256 are right."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import requests

from millcert.errors import DiskFullError, FetchError, HashMismatchError
from millcert.index.transport import AbsentError, OversizeError, Transport, UnavailableError, redacted
from millcert.model import Digest, chunks_of
from millcert.store import Store

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


class _Stopped(FetchError):
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
            errors = [error for future in futures if (error := future.exception()) is not None]
        except BaseException:
            stop.set()
            raise
    _raise_first(errors)


def _raise_first(errors: Sequence[BaseException]) -> None:
    for error in sorted(errors, key=lambda error: isinstance(error, _Stopped)):
        raise error


def download(
    item: Download, store: Store, transport: Transport, progress: Progress, stop: threading.Event | None = None
) -> None:
    """One file into the store. Raises FetchError, HashMismatchError or DiskFullError; nothing wrong is ever kept."""
    partial = store.root / "tmp" / f"partial-{item.digest}"
    stop = stop or threading.Event()
    with store.lock(f"download {item.digest}"), _disk(store):
        if store.has(item.digest):  # another process was quicker
            return
        resumed = partial.exists()
        address = item.address()
        try:
            _bring(item, address, partial, store, transport, progress, stop)
        except HashMismatchError:
            if not resumed:
                raise
            # the bytes of the earlier run may be the wrong ones: once more from the start
            _bring(item, address, partial, store, transport, progress, stop)


def _bring(
    item: Download, address: str, partial: Path, store: Store, transport: Transport, progress: Progress,
    stop: threading.Event,
) -> None:  # fmt: skip
    try:
        transport.retrying(lambda: _receive(item, address, partial, transport, progress, stop))
    except AbsentError as error:
        raise AbsentError(error.message, file=item.filename, **error.evidence) from error
    _keep(item, partial, store, address)


def _receive(
    item: Download, address: str, partial: Path, transport: Transport, progress: Progress, stop: threading.Event
) -> None:
    """Append to the partial file until it has the file's size."""
    have = partial.stat().st_size if partial.exists() else 0
    if have > item.size:
        partial.unlink()
        have = 0
    if have == item.size and partial.exists():
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    with transport.open(address, headers) as response:
        if have and not _continues(response, have):
            have = 0
        _append(item, response, partial, have, transport, progress, stop)


def _continues(response: requests.Response, have: int) -> bool:
    """Whether the server really sends the rest: it may ignore Range, or answer with another one."""
    content_range: str = response.headers.get("Content-Range", "")
    return response.status_code == 206 and content_range.startswith(f"bytes {have}-")


def _append(
    item: Download, response: requests.Response, partial: Path, have: int,
    transport: Transport, progress: Progress, stop: threading.Event,
) -> None:  # fmt: skip
    begun, at_start = time.monotonic(), have
    with partial.open("r+b" if have else "wb") as stream:
        stream.seek(have)
        progress(item.filename, have, item.size)
        for piece in transport.pieces(response):
            if stop.is_set():
                raise _Stopped("stopped", file=item.filename)
            have += len(piece)
            if have > item.size:
                stream.truncate(0)
                raise OversizeError(
                    "the server sends more bytes than the locked file has", file=item.filename, expected=item.size,
                    address=redacted(response.url),
                )  # fmt: skip
            stream.write(piece)
            progress(item.filename, have, item.size)
            _check_rate(item, have - at_start, time.monotonic() - begun)
    if have < item.size:
        raise UnavailableError(
            "the file was cut off", file=item.filename, expected=f"{item.size} bytes", found=f"{have} bytes",
            fix="run the same command again; it goes on from there",
        )  # fmt: skip


def _check_rate(item: Download, received: int, seconds: float) -> None:
    if seconds > _PATIENCE and received < seconds * _SLOWEST:
        raise UnavailableError("the server is too slow", file=item.filename, rate=f"{received / seconds:.0f} bytes/s")


def _keep(item: Download, partial: Path, store: Store, address: str) -> None:
    try:
        with partial.open("rb") as stream:
            store.add_stream(chunks_of(stream), expected=item.digest)
    except HashMismatchError as error:
        raise HashMismatchError(
            "a download is not the locked file; it was thrown away",
            file=item.filename, expected=item.digest, found=error.evidence.get("found"), address=redacted(address),
            fix="do not relock before you know why: the index or something on the way to it altered the file",
        ) from error  # fmt: skip
    finally:
        partial.unlink(missing_ok=True)


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

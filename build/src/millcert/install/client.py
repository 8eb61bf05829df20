"""The verified view of an index: python-tuf's client workflow over any source, with the floor, failing closed."""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urljoin

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    ExpiredMetadataError,
    RepositoryError,
)
from tuf.ngclient import FetcherInterface, TargetFile, Updater

from millcert.errors import FetchError, VerificationError
from millcert.index import AbsentError, OversizeError
from millcert.install.anchor import Anchor
from millcert.install.errors import IndexRefusedError, StaleIndexError, UnreachableIndexError
from millcert.install.source import Source, Wanted
from millcert.model import Digest, parse_digest
from millcert.names import NormalizedName
from millcert.publish.errors import SiteStateError
from millcert.publish.page import Page, PageFile, page_path, parse_page

__all__ = ["VerifiedIndex", "pinned_evidence", "pinned_file"]

_BASE = "index:/"
_MOST_PAGE = 64 << 20
_SKEW = timedelta(minutes=10)


class VerifiedIndex:
    """One consistent snapshot of an index; pages are verified when they are asked for.

    ``cache`` keeps metadata between runs, each byte verified again from the anchor when it is read. ``expiry`` (by
    default ``now``) is the time by which metadata must not have run out: an offline kit is judged by an earlier one.
    """

    def __init__(
        self, source: Source, anchor: Anchor, cache: Path, now: datetime, *, expiry: datetime | None = None
    ) -> None:
        self.source, self.anchor = source, anchor
        if now + _SKEW < anchor.time:
            raise StaleIndexError(
                "the clock is behind the time at which this client was made",
                now=now.isoformat(), floor=anchor.time.isoformat(), fix="set the clock",
            )  # fmt: skip
        cache.mkdir(parents=True, exist_ok=True)
        with _refusals():
            self._updater = Updater(
                str(cache), f"{_BASE}tuf/", str(cache), _BASE, fetcher=_Fetcher(source), bootstrap=anchor.root
            )
            # python-tuf takes no clock; its trusted set judges every expiry by this moment
            self._updater._trusted_set.reference_time = expiry or now
            self._updater.refresh()
        trusted = self._updater._trusted_set
        self.version: int = trusted.timestamp.version
        self.root_version: int = trusted.root.version
        self.expires: datetime = trusted.timestamp.expires
        if self.version < anchor.version or self.expires < anchor.time:
            raise StaleIndexError(
                "the index is older than the floor of this client",
                floor=f"version {anchor.version}, {anchor.time.isoformat()}",
                found=f"version {self.version}, good until {self.expires.isoformat()}",
                fix="ask another mirror; if all are the same, ask the project",
            )  # fmt: skip

    def variants(self, channel: str) -> tuple[str, ...]:
        """The variants that the root's delegations name for a channel."""
        delegations = self._updater._trusted_set.targets.delegations
        roles = delegations.roles if delegations and delegations.roles else {}
        return tuple(sorted(name.removeprefix(f"{channel}-") for name in roles if name.startswith(f"{channel}-")))

    def page(self, index: str, name: NormalizedName) -> Page | None:
        """A project's page, or None where the signed metadata says that there is none."""
        data = self.target(page_path(index, name))
        if data is None:
            return None
        try:
            page = parse_page(data)
        except SiteStateError as error:
            raise IndexRefusedError("a signed page is not one", page=page_path(index, name), reason=error) from error
        if page.name != name:
            raise IndexRefusedError("a page of another project", expected=name, found=page.name)
        return page

    def target(self, path: str) -> bytes | None:
        """The bytes of a signed page; None where no role signs one of that name."""
        with _refusals():
            info: TargetFile | None = self._updater.get_targetinfo(path)
            if info is None:
                return None
            if info.length > _MOST_PAGE:
                raise IndexRefusedError("a page that is too long", page=path, bytes=info.length)
            folder, _, name = path.rpartition("/")
            data = self.source.read(f"{folder}/{info.hashes['sha256']}.{name}", info.length)
            info.verify_length_and_hashes(data)
            return data


def _pinned(index: str, name: NormalizedName, url: str, digest: Digest, size: int) -> Wanted:
    """What a page pins, as something to bring; the page's links are relative to its folder."""
    path = url if "://" in url else unquote(urljoin(f"/{index}/{name}/", url)).lstrip("/")
    return Wanted(path, unquote(posixpath.basename(path)), digest, size)


def pinned_file(index: str, name: NormalizedName, file: PageFile) -> Wanted:
    """A wheel of a page, likewise."""
    return _pinned(index, name, file.url, file.digest, file.size)


def pinned_evidence(index: str, name: NormalizedName, pin: dict[str, Any]) -> Wanted:
    """A file beside a wheel, likewise; IndexRefusedError where the pin is not one."""
    try:
        return _pinned(index, name, str(pin["url"]), parse_digest(str(pin["sha256"])), int(pin["size"]))
    except (KeyError, TypeError, ValueError) as error:
        raise IndexRefusedError("a page pins a file without its hash or size", project=name, reason=error) from error


class _Fetcher(FetcherInterface):
    """python-tuf's network: bounded reads of a source, whose own errors pass through."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def _fetch(self, url: str) -> Iterator[bytes]:
        raise NotImplementedError("files are read whole, with their limit")

    @contextlib.contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """A file of at most ``max_length`` bytes."""
        try:
            yield io.BytesIO(self.source.read(unquote(url.removeprefix(_BASE)), max_length))
        except AbsentError as error:
            raise DownloadHTTPError(str(error), 404) from error


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """python-tuf's verdicts, and a source's failures, as errors of the client."""
    try:
        yield
    except VerificationError:
        raise
    except ExpiredMetadataError as error:
        raise StaleIndexError(
            "the index's metadata has run out: somebody withholds newer, or the publisher stopped", reason=error,
            fix="try again later or on another mirror; check that the clock is right",
        ) from error  # fmt: skip
    except BadVersionNumberError as error:
        raise StaleIndexError("the index is older than what was seen before", reason=error) from error
    except OversizeError as error:
        raise IndexRefusedError("the index sends more than was signed, or than can be right", reason=error) from error
    except RepositoryError as error:
        raise IndexRefusedError("the index does not verify from the trusted root", reason=error) from error
    except DownloadError as error:
        raise IndexRefusedError("a file of the signed index is missing or wrong", reason=error) from error
    except FetchError as error:
        raise UnreachableIndexError(
            "the index could not be read, and nothing older is taken instead",
            **{**error.evidence, "reason": "; ".join(filter(None, [error.message, error.evidence.get("reason")]))},
        ) from error
    except OSError as error:
        raise IndexRefusedError("metadata cannot be kept", reason=os.strerror(error.errno or 0)) from error

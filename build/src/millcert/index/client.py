"""Reading named indexes: pages of projects, and the files a lock pins."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial

from millcert.errors import HashMismatchError
from millcert.index.configuration import ClientConfiguration
from millcert.index.download import Download, Progress, download_all
from millcert.index.page import ACCEPT, ProjectPage, parse_page
from millcert.index.transport import AbsentError, Transport
from millcert.lock.lockfile import LockedFile, Pin
from millcert.names import NormalizedName
from millcert.store import Store

__all__ = ["IndexClient"]

_PAGE_LIMIT = 64 << 20


class IndexClient:
    """Pages and files of the indexes that the client's configuration knows."""

    def __init__(self, configuration: ClientConfiguration, transport: Transport | None = None) -> None:
        self.configuration = configuration
        self.transport = transport or Transport(configuration)
        self._pages: dict[tuple[str, NormalizedName], ProjectPage] = {}
        self._guard = threading.Lock()

    def page(self, index: str, name: NormalizedName) -> ProjectPage:
        """A project's page, asked for once. AbsentError and UnavailableError are different answers."""
        with self._guard:
            known = self._pages.get((index, name))
        if known is not None:
            return known
        address = f"{self.configuration.address(index)}{name}/"
        try:
            data, content_type, final = self.transport.read(address, accept=ACCEPT, limit=_PAGE_LIMIT)
        except AbsentError as error:
            raise AbsentError("the index does not have this project", index=index, name=name) from error
        page = parse_page(data, content_type, name=name, index=index, address=final)
        with self._guard:
            return self._pages.setdefault((index, name), page)

    def file_address(self, pin: Pin, file: LockedFile) -> str:
        """Where the index of a pin keeps a locked file.

        Raises AbsentError where it does not list it, HashMismatchError where it lists other bytes under that name.
        """
        listed = self.page(pin.index, pin.name).file(file.filename)
        if listed is None:
            raise AbsentError(
                "the index no longer lists a locked file",
                index=pin.index, file=file.filename, sha256=file.digest,
                fix=f"`millcert lock --upgrade-package {pin.name}`, or take the file from another store",
            )  # fmt: skip
        if listed.sha256 is not None and listed.sha256 != file.digest:
            raise HashMismatchError(
                "the index lists other bytes under the name of a locked file",
                index=pin.index, file=file.filename, expected=file.digest, found=listed.sha256,
                fix="do not relock before you know why: released files do not change",
            )  # fmt: skip
        return listed.url

    def fetch(self, wanted: Iterable[tuple[Pin, LockedFile]], store: Store, progress: Progress) -> None:
        """Bring every wanted file that the store lacks."""
        items = [
            Download(file.filename, file.digest, file.size, partial(self.file_address, pin, file))
            for pin, file in wanted
        ]
        download_all(items, store, self.transport, progress)

"""A local index for pip, uv and whatever reads the Simple API: every answer is verified before it is given.

Pages come from the signed index, links changed to lead back here. A file is given only after everything that
``millcert install`` proves about it was proven: attestation and ratchet for the projects that must have one, the hash
in a release's signed lock for all others. It listens on this machine only, and never passes a request on.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from millcert.attest.verify import Verifier
from millcert.errors import ConfigError, ConfusionError, FetchError, MillcertError
from millcert.index import Progress
from millcert.install.client import VerifiedIndex, pinned_evidence, pinned_file
from millcert.install.evidence import bring_evidence, check_page, sighting
from millcert.install.resolve import locked_digests
from millcert.install.state import State
from millcert.install.wheelfile import THIRD_PARTY, CheckedWheel, check_wheel
from millcert.model import Digest
from millcert.names import NormalizedName, normalize
from millcert.publish.html import render_html
from millcert.publish.page import Page, PageFile, page_path

__all__ = ["Gate", "serve"]

_JSON, _HTML = "application/vnd.pypi.simple.v1+json", "text/html; charset=utf-8"
_PAGE = re.compile(r"/([a-z]+/[a-z0-9]+)/(?:([A-Za-z0-9._-]+)/)?")
_FILE = re.compile(r"/files/([a-z]+/[a-z0-9]+)/([a-z0-9-]+)/([^/]+?\.whl)(\.metadata)?")


@dataclass
class Gate:
    """What may pass: ``attested`` projects only with their attestations, all others only as locked.

    ``refresh`` opens the index anew; it is asked once per page of the list of projects, so that a long-running proxy
    sees new nights and never serves metadata that has run out.
    """

    refresh: Callable[[], VerifiedIndex]
    verifier: Verifier
    state: State
    attested: frozenset[NormalizedName]
    progress: Progress
    _passed: dict[tuple[str, Digest], CheckedWheel] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def projects(self, where: str) -> bytes | None:
        """The signed list of an index's projects."""
        with self._lock:
            return self.refresh().target(page_path(where))

    def page(self, where: str, name: NormalizedName) -> bytes | None:
        """A project's page as PEP 691 JSON, its links leading back here; None where the signed index has none."""
        with self._lock:
            page = self.refresh().page(where, name)
        return None if page is None else _local(page, where).to_bytes()

    def wheel(self, where: str, name: NormalizedName, filename: str) -> tuple[Path, CheckedWheel] | None:
        """A wheel's verified bytes; None where the page has no such file, and an error where anything is wrong."""
        with self._lock:
            index = self.refresh()
            page = index.page(where, name)
            file = page.file(filename) if page else None
            if file is None or page is None or page.status == "quarantined":
                return None
            key = (f"{where}/{name}/{filename}", file.digest)
            if key not in self._passed:
                self._passed[key] = self._prove(index, where, name, file)
            return self.state.store.path(file.digest), self._passed[key]

    def _prove(self, index: VerifiedIndex, where: str, name: NormalizedName, file: PageFile) -> CheckedWheel:
        store = self.state.store
        evidence = bring_evidence(index, where, name, file, store) if name in self.attested else None
        if evidence is None:
            self._check_locked(index, where, name, file)
        index.source.bring([pinned_file(where, name, file)], store, self.progress)
        blob = store.path(file.digest)
        wheel = check_wheel(blob, file.filename, THIRD_PARTY if evidence is None else ())
        check_page(wheel, file)
        if evidence is not None:
            with store.temporary() as folder:
                folder.mkdir(mode=0o700)
                shutil.copyfile(blob, folder / file.filename)
                verdict = evidence.verify(self.verifier, folder / file.filename)
            evidence.check_sbom(wheel)
            self.state.check_project(name, sighting(verdict))
            self.state.see_project(name, sighting(verdict))
        return wheel

    def _check_locked(self, index: VerifiedIndex, where: str, name: NormalizedName, file: PageFile) -> None:
        """ConfusionError unless the lock of a listed release of an attested project names these very bytes."""
        seen: set[str] = set()
        for project in sorted(self.attested):
            page = index.page(where, project)
            for release in reversed(page.files if page else ()):
                wanted = pinned_evidence(where, project, release.evidence.get("pylock", {}))
                if wanted.digest in seen:
                    continue
                seen.add(wanted.digest)
                index.source.bring([wanted], self.state.store, self.progress)
                if locked_digests(self.state.store.read(wanted.digest)).get(file.filename) == file.digest:
                    return
        raise ConfusionError(
            "a file that no lock of an attested project names", project=name, file=file.filename, sha256=file.digest
        )


def _local(page: Page, where: str) -> Page:
    """The page with links to this proxy; nothing of the evidence is needed by who trusts it."""
    files = [
        replace(file, url=f"/files/{where}/{page.name}/{quote(file.filename)}", provenance="", evidence={})
        for file in page.files
    ]
    return replace(page, files=tuple(files), withheld=())


def serve(gate: Gate, port: int, report: Callable[[str], None]) -> ThreadingHTTPServer:
    """A server on loopback that is ready to run; port 0 takes a free one."""
    handler = type("Handler", (_Handler,), {"gate": gate, "report": staticmethod(report)})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    return server


class _Handler(BaseHTTPRequestHandler):
    gate: Gate
    report: Callable[[str], None]
    protocol_version = "HTTP/1.1"
    timeout = 60

    def handle(self) -> None:
        # a client that hangs up before it has its answer is no fault to print a traceback of
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        if not self._is_local():
            return self._send(403, "text/plain", b"this proxy answers to its own name only", body=body)
        path = unquote(self.path.partition("?")[0])
        try:
            if match := _FILE.fullmatch(path):
                return self._file(match[1], normalize(match[2]), match[3], bool(match[4]), body=body)
            if match := _PAGE.fullmatch(path):
                return self._page(match[1], match[2], body=body)
        except ConfigError:
            return self._send(404, "text/plain", b"no such project", body=body)
        except MillcertError as error:
            self.report(f"refused {path}: {error}")
            status = 503 if isinstance(error, FetchError) else 403
            return self._send(status, "text/plain; charset=utf-8", str(error).encode(), body=body)
        return self._send(404, "text/plain", b"no such page", body=body)

    def _is_local(self) -> bool:
        """A page in a browser must not reach this proxy under another name (DNS rebinding)."""
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        return host in ("127.0.0.1", "localhost")

    def _page(self, where: str, name: str | None, *, body: bool) -> None:
        data = self.gate.page(where, normalize(name)) if name else self.gate.projects(where)
        if data is None:
            return self._send(404, "text/plain", b"the signed index has no such project", body=body)
        accept = self.headers.get("Accept", "")
        if _JSON in accept or "application/vnd.pypi.simple.latest+json" in accept:
            return self._send(200, _JSON, data, body=body)
        return self._send(200, _HTML, render_html(data), body=body)

    def _file(self, where: str, name: NormalizedName, filename: str, metadata: bool, *, body: bool) -> None:
        found = self.gate.wheel(where, name, filename)
        if found is None:
            return self._send(404, "text/plain", b"the signed page has no such file", body=body)
        path, wheel = found
        if metadata:
            return self._send(200, "application/octet-stream", wheel.metadata, body=body)
        self._head(200, "application/octet-stream", path.stat().st_size)
        if body:
            with path.open("rb") as stream:
                shutil.copyfileobj(stream, self.wfile, 1 << 20)
        return None

    def _send(self, status: int, kind: str, data: bytes, *, body: bool) -> None:
        self._head(status, kind, len(data))
        if body:
            self.wfile.write(data)

    def _head(self, status: int, kind: str, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header("Vary", "Accept")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Only refusals are reported."""

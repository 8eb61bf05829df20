"""A small Simple API index on loopback that can be told to misbehave; pip, uv and millcert are its clients."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import html
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.support.serving import answering

__all__ = ["Fault", "Listed", "LoopbackIndex", "certificate", "loopback_index"]

_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass
class Listed:
    """One file of a project, and what the page says about it."""

    filename: str
    data: bytes
    sha256: str | None
    size: int | None
    yanked: bool = False
    url: str | None = None


class Handler(BaseHTTPRequestHandler):
    """Answers for one index; faults are looked up by path."""

    protocol_version = "HTTP/1.1"
    index: LoopbackIndex

    def do_GET(self) -> None:
        self.index.requests.append((self.path, dict(self.headers)))
        queue = self.index.faults.get(self.path, [])
        if queue:
            fault = queue[0] if getattr(queue[0], "lasting", False) else queue.pop(0)
            fault(self)
            return
        self.answer()

    do_HEAD = do_GET

    def answer(self) -> None:
        """The honest answer to the request."""
        parts = self.path.strip("/").split("/")
        if parts[0] == "simple" and len(parts) == 2 and parts[1] in self.index.projects:
            self._page(parts[1])
        elif parts[0] == "files" and (body := self.index.body(parts[-1])) is not None:
            self.send_file(body)
        else:
            self.send_whole(404, "text/plain", b"absent")

    def send_whole(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_file(self, body: bytes) -> None:
        """A file, or its rest where a range is asked for."""
        asked = self.headers.get("Range", "")
        if not asked.startswith("bytes=") or not self.index.ranges:
            self.send_whole(200, "application/octet-stream", body)
            return
        start, _, end = asked.removeprefix("bytes=").partition("-")
        first = int(start) if start else len(body) - int(end)
        last = int(end) + 1 if start and end else len(body)
        if first >= len(body):
            self.send_whole(416, "text/plain", b"")
            return
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{min(last, len(body)) - 1}/{len(body)}")
        self.send_header("Content-Length", str(min(last, len(body)) - first))
        self.end_headers()
        self.wfile.write(body[first:last])

    def _page(self, project: str) -> None:
        if "json" in self.index.forms and _JSON in self.headers.get("Accept", ""):
            self.send_whole(200, _JSON, self.index.json_page(project))
        else:
            self.send_whole(200, "text/html", self.index.html_page(project))

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


Fault = Callable[[Handler], None]


@dataclass
class LoopbackIndex:
    """Projects and files of one index; every request is remembered."""

    forms: set[str] = field(default_factory=lambda: {"json", "html"})
    ranges: bool = True
    projects: dict[str, list[Listed]] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    namespaces: dict[str, object] = field(default_factory=dict)
    base: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """What a client is configured with."""
        return f"{self.base}/simple/"

    def add(self, path: Path, *, project: str | None = None, **page: Any) -> Listed:
        """List a file; ``page`` overrides what the page says of it (sha256, size, yanked, url)."""
        data = path.read_bytes()
        told = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), **page}
        listed = Listed(path.name, data, **told)
        name = project or path.name.split("-")[0].replace("_", "-").lower()
        self.projects.setdefault(name, []).append(listed)
        return listed

    def fail(self, path: str, *faults: Fault, always: bool = False) -> None:
        """Misbehave at a path: each fault once, in order, or the only one for ever."""
        if always:
            faults[0].lasting = True  # type: ignore[attr-defined]
        self.faults[path] = list(faults)

    def body(self, filename: str) -> bytes | None:
        """What is served under a file name: wheels, and their metadata (PEP 658)."""
        for listed in (listed for project in self.projects.values() for listed in project):
            if listed.filename == filename:
                return listed.data
            if f"{listed.filename}.metadata" == filename:
                return _metadata(listed)
        return None

    def json_page(self, project: str) -> bytes:
        """The PEP 691 form."""
        files = []
        for listed in self.projects[project]:
            entry: dict[str, object] = {"filename": listed.filename, "url": self._link(listed), "yanked": listed.yanked}
            entry["hashes"] = {"sha256": listed.sha256} if listed.sha256 else {}
            if listed.size is not None:
                entry["size"] = listed.size
            if (metadata := _metadata(listed)) is not None:
                entry["core-metadata"] = {"sha256": hashlib.sha256(metadata).hexdigest()}
            files.append(entry)
        document = {"meta": {"api-version": "1.1"}, "name": project, "files": files}
        if project in self.namespaces:  # PEP 752
            document["namespace"] = self.namespaces[project]
        return json.dumps(document).encode()

    def html_page(self, project: str) -> bytes:
        """The PEP 503 form."""
        lines = []
        for listed in self.projects[project]:
            fragment = f"#sha256={listed.sha256}" if listed.sha256 else ""
            yanked = ' data-yanked=""' if listed.yanked else ""
            link = html.escape(self._link(listed) + fragment)
            lines.append(f'<a href="{link}"{yanked}>{html.escape(listed.filename)}</a><br/>')
        return f"<!DOCTYPE html><html><body>{''.join(lines)}</body></html>".encode()

    def file_requests(self, filename: str) -> list[dict[str, str]]:
        """The headers of every request for a file."""
        return [headers for path, headers in self.requests if path == f"/files/{filename}"]

    def _link(self, listed: Listed) -> str:
        return listed.url or f"../../files/{listed.filename}"


def _metadata(listed: Listed) -> bytes | None:
    import io

    if not listed.filename.endswith(".whl"):
        return None
    with ZipFile(io.BytesIO(listed.data)) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name)


class _Server(ThreadingHTTPServer):
    block_on_close = False


@contextlib.contextmanager
def loopback_index(tls: tuple[Path, Path] | None = None, **options: Any) -> Iterator[LoopbackIndex]:
    """A running index; ``tls`` is a certificate and its key."""
    index = LoopbackIndex(**options)
    handler = type("BoundHandler", (Handler,), {"index": index})
    server = _Server(("127.0.0.1", 0), handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    index.base = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    with answering(server):
        try:
            yield index
        finally:
            index.over.set()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key; the certificate is also the bundle that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback test")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(built.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths

"""An OCI registry on loopback that can be told to misbehave, and Debian's docker-registry where it is installed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.serving import answering

__all__ = ["FaultyRegistry", "debian_registry", "faulty_registry"]

_UPLOAD = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<id>[0-9a-f]*)")
_THING = re.compile(r"/v2/(?P<name>.+)/(?P<what>blobs|manifests|referrers)/(?P<ref>[^/]+)")

# a fault gets the handler's facts and may answer in its place (True) or let the registry go on (False)
Fault = Callable[["Handler"], bool]


@dataclass
class FaultyRegistry:
    """What the registry holds and what goes wrong; ``log`` lists methods and paths in order."""

    port: int = 0
    referrers_api: bool = True
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def once(self, method: str, pattern: str, act: Callable[[Handler], None]) -> None:
        """Misbehave the first time a request fits."""
        done: list[bool] = []

        def fault(handler: Handler) -> bool:
            if done or handler.command != method or not re.search(pattern, handler.path):
                return False
            done.append(True)
            act(handler)
            return True

        self.faults.append(fault)

    def always(self, method: str, pattern: str, act: Callable[[Handler], None]) -> None:
        """Misbehave whenever a request fits."""

        def fault(handler: Handler) -> bool:
            if handler.command != method or not re.search(pattern, handler.path):
                return False
            act(handler)
            return True

        self.faults.append(fault)

    def referrers(self, digest: str) -> list[dict[str, object]]:
        found = []
        for name, (media_type, data) in sorted(self.manifests.items()):
            document = json.loads(data)
            if document.get("subject", {}).get("digest") == digest:
                found.append({
                    "mediaType": media_type, "digest": name, "size": len(data),
                    "artifactType": document.get("artifactType"), "annotations": document.get("annotations", {}),
                })  # fmt: skip
        return found


class Handler(BaseHTTPRequestHandler):
    """The few calls of the distribution specification that clients use."""

    protocol_version = "HTTP/1.1"
    registry: FaultyRegistry

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _run(self) -> None:
        self.registry.log.append((self.command, self.path))
        if any(fault(self) for fault in self.registry.faults):
            return
        if match := _UPLOAD.fullmatch(urlsplit(self.path).path):
            self._upload(match["id"])
        elif match := _THING.fullmatch(urlsplit(self.path).path):
            kinds = {"blobs": self._blob, "manifests": self._manifest, "referrers": self._referrers}
            kinds[match["what"]](match["ref"])
        else:
            self.answer(200, b"{}")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _run

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status: int, data: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def drop(self) -> None:
        """Break the connection off."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _upload(self, upload: str) -> None:
        uploads = self.registry.uploads
        if self.command == "POST":
            upload = hashlib.sha256(str(len(self.registry.log)).encode()).hexdigest()[:12]
            uploads[upload] = b""
            self._uploading(202, upload)
        elif upload not in uploads:
            self.answer(404)
        elif self.command == "GET":
            self._uploading(204, upload)
        elif self.command == "PATCH":
            uploads[upload] += self.body()
            self._uploading(202, upload)
        else:
            data = uploads.pop(upload) + self.body()
            digest = parse_qs(urlsplit(self.path).query)["digest"][0]
            if digest != f"sha256:{hashlib.sha256(data).hexdigest()}":
                self.answer(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"digest invalid"}]}')
                return
            self.registry.blobs[digest] = data
            self.answer(201, Docker_Content_Digest=digest)

    def _uploading(self, status: int, upload: str) -> None:
        place = self.path.partition("/blobs/")[0] + f"/blobs/uploads/{upload}"
        last = max(0, len(self.registry.uploads[upload]) - 1)
        self.answer(status, Location=place, Range=f"0-{last}")

    def _blob(self, digest: str) -> None:
        data = self.registry.blobs.get(digest)
        if data is None:
            self.answer(404)
        elif start := re.fullmatch(r"bytes=([0-9]+)-", self.headers.get("Range", "")):
            self.answer(206, data[int(start[1]) :])
        else:
            self.answer(200, data, Docker_Content_Digest=digest)

    def _manifest(self, wanted: str) -> None:
        if self.command == "PUT":
            data = self.body()
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self.registry.manifests[digest] = (self.headers["Content-Type"], data)
            if not wanted.startswith("sha256:"):
                self.registry.tags[wanted] = digest
            subject = json.loads(data).get("subject")
            extra = {"OCI_Subject": subject["digest"]} if subject and self.registry.referrers_api else {}
            self.answer(201, Docker_Content_Digest=digest, **extra)
            return
        digest = self.registry.tags.get(wanted, wanted)
        if digest not in self.registry.manifests:
            self.answer(404)
            return
        kind, data = self.registry.manifests[digest]
        self.answer(200, data, Content_Type=kind, Docker_Content_Digest=digest)

    def _referrers(self, digest: str) -> None:
        if not self.registry.referrers_api:
            self.answer(404)
            return
        index = {"schemaVersion": 2, "manifests": self.registry.referrers(digest)}
        self.answer(200, json.dumps(index).encode(), Content_Type="application/vnd.oci.image.index.v1+json")


@contextlib.contextmanager
def faulty_registry(*, referrers_api: bool = True) -> Iterator[FaultyRegistry]:
    """A running registry, gone at the end."""
    registry = FaultyRegistry(referrers_api=referrers_api)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"registry": registry}))
    registry.port = server.server_port
    with answering(server):
        yield registry


@contextlib.contextmanager
def debian_registry(folder: Path) -> Iterator[str]:
    """Host and port of Debian's docker-registry, its storage empty; FileNotFoundError where it is not installed."""
    program = shutil.which("docker-registry")
    if program is None:
        raise FileNotFoundError("docker-registry is not installed (apt-get install docker-registry)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder / 'storage'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    process = subprocess.Popen([program, "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        threading.Event().wait(0.05)
    raise RuntimeError("docker-registry did not start")

"""A signed Debian mirror on loopback, with apt as its client."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.deb import CONTROL, entry, make_deb
from tests.support.serving import answering

__all__ = ["Mirror", "mirror"]


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class Mirror:
    """A pool and a suite; ``publish`` signs what is in it."""

    def __init__(self, folder: Path, suite: str = "bookworm", pool: str = "pool/main") -> None:
        self.folder, self.suite, self.pool = folder, suite, pool
        self.home = Path(tempfile.mkdtemp(prefix="gpg-"))  # short: the agent's socket lies in it
        self.keyring = folder.parent / f"{folder.name}.gpg"
        self.address = ""
        self._stanzas: dict[str, str] = {}
        folder.mkdir()
        self._gpg("--quick-generate-key", "Test archive <a@x.example>", "ed25519", "sign", "never")
        self.keyring.write_bytes(self._gpg("--export"))

    def _gpg(self, *arguments: str, data: bytes = b"") -> bytes:
        command = ["gpg", "--batch", "--quiet", "--homedir", str(self.home), "--passphrase", "", *arguments]
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    def add(self, name: str, version: str = "1.0", **fields: str) -> Path:
        """A package in the pool; a higher version takes the place of a lower one."""
        extra = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in fields.items())
        control = CONTROL.replace("Version: 1.0", f"Version: {version}").replace("Description:", f"{extra}Description:")
        path = self.folder / self.pool / name[0] / name / f"{name}_{version}_amd64.deb"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_deb(path, [entry(f"./usr/share/{name}", version.encode())], control=control, package=name)
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        told = f"Filename: {path.relative_to(self.folder)}\nSize: {len(data)}\nSHA256: {digest}\n"
        self._stanzas[name] = control.replace("Package: thing", f"Package: {name}") + told
        return path

    def publish(self, *, sign: bool = True) -> None:
        """Write the suite's lists and sign them."""
        lists = self.folder / "dists" / self.suite / "main/binary-amd64"
        lists.mkdir(parents=True, exist_ok=True)
        packages = "\n".join(self._stanzas[name] for name in sorted(self._stanzas)).encode()
        listed = ""
        for name, data in (("Packages", packages), ("Packages.gz", gzip.compress(packages, mtime=0))):
            (lists / name).write_bytes(data)
            listed += f" {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-amd64/{name}\n"
        release = (
            f"Origin: Test\nSuite: {self.suite}\nCodename: {self.suite}\nDate: Mon, 05 Jan 2026 00:00:00 UTC\n"
            f"Architectures: amd64\nComponents: main\nSHA256:\n{listed}"
        ).encode()
        root = self.folder / "dists" / self.suite
        (root / "Release").write_bytes(release)
        if sign:
            (root / "InRelease").write_bytes(self._gpg("--clearsign", data=release))
        else:
            (root / "InRelease").unlink(missing_ok=True)


@contextlib.contextmanager
def mirror(folder: Path, suite: str = "bookworm", pool: str = "pool/main") -> Iterator[Mirror]:
    """A mirror that is served until the end of the block."""
    made = Mirror(folder, suite, pool)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
    try:
        with answering(server) as address:
            made.address = f"{address}/"
            yield made
    finally:
        if shutil.which("gpgconf"):
            environ = {**os.environ, "GNUPGHOME": str(made.home)}
            subprocess.run(["gpgconf", "--kill", "all"], env=environ, capture_output=True, check=False)
        shutil.rmtree(made.home, ignore_errors=True)

"""A small signed index, its keys, wheels and clients, for tests of publishing and of what reads an index."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner, Signer
from tests.support.serving import answering
from tuf.ngclient import Updater, UpdaterConfig

from millcert.attest import BuildDefinition, Subject, provenance
from millcert.keys import DEFAULT_LIFETIMES, Draft, Role
from millcert.lock import Lock, LockedFile, Pin, parse_lock, render_lock
from millcert.model import digest_of_file
from millcert.names import normalize
from millcert.publish import Artifact, Builder, FolderSite, Outcome, Publisher, Request, Site, commit, load_state
from millcert.publish.ceremony import add_index, start
from millcert.store import Store

__all__ = [
    "NOW",
    "OWNED",
    "Nightly",
    "build_wheel",
    "client",
    "hours",
    "installed",
    "lock_of",
    "make_wheel",
    "memory_folder",
    "pip",
    "serve",
    "trusting",
    "uv",
]

NOW = datetime.now(UTC).replace(microsecond=0)  # clients read the real clock, so tests publish about now
OWNED = frozenset({normalize("wootz")})
BUILDER = Builder("https://issuer.example", "https://builder.example/nightly")


def make_wheel(
    folder: Path, name: str, version: str, *, requires: Sequence[str] = (), tag: str = "py3-none-any",
    content: bytes = b"", extra: Mapping[str, bytes] | None = None,
) -> Path:  # fmt: skip
    """A small valid wheel; ``content`` is its module's source."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    metadata = [f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nRequires-Python: >=3.11"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    files = {f"{name.replace('-', '_')}.py": content, f"{info}/METADATA": ("\n".join(metadata) + "\n").encode()}
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    files |= {f"{info}/{path}": data for path, data in (extra or {}).items()}
    record = "".join(f"{path},sha256={_b64(data)},{len(data)}\n" for path, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for entry, data in files.items():
            archive.writestr(zipfile.ZipInfo(entry, (2026, 1, 1, 0, 0, 0)), data)
    return path


def build_wheel(
    folder: Path, version: str = "0.1.0.dev20261123+cpu", *, name: str = "wootz", requires: Sequence[str] = (),
    content: bytes = b"", tag: str = "py3-none-any",
) -> Path:  # fmt: skip
    """A wheel with everything a build and ``millcert sign`` leave beside it; the bundle is not a real one."""
    sbom = json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"version": version}}).encode()
    wheel = make_wheel(
        folder, name, version, requires=requires, content=content, tag=tag, extra={"sboms/wheel.cdx.json": sbom}
    )
    statement = provenance(
        [Subject(wheel.name, digest_of_file(wheel))],
        BuildDefinition("urn:test:build", "urn:test:builder", {"version": version}, {}, ()),
    )
    wheel.with_name(f"{wheel.name}.cdx.json").write_bytes(sbom)
    wheel.with_name(f"{wheel.name}.provenance.json").write_bytes(statement)
    wheel.with_name(f"{wheel.name}.sigstore.json").write_bytes(
        json.dumps({"verificationMaterial": {}, "of": wheel.name}).encode()
    )
    return wheel


def trusting(artifact: Artifact) -> Mapping[str, Builder]:
    """A verifier for tests that are not about attestations."""
    return dict.fromkeys(artifact.bundles, BUILDER)


def lock_of(store: Store, *wheels: Path) -> Lock:
    """A lock of some wheels, which are put into the store as a fetch would."""
    pins: dict[str, Pin] = {}
    for wheel in wheels:
        store.add_file(wheel)
        name, version = wheel.name.split("-")[:2]
        file = LockedFile(wheel.name, digest_of_file(wheel), wheel.stat().st_size)
        known = pins.get(name)
        pins[name] = Pin(normalize(name), version, "pypi", (*(known.files if known else ()), file))
    return parse_lock(render_lock(list(pins.values())), Path("lock.txt"))


@dataclass
class Nightly:
    """An index in a folder with one key a role (three for root), started and ready to publish ``nightly/cpu``."""

    folder: Path
    keys: dict[str, list[Signer]] = field(default_factory=dict)
    root: bytes = b""
    bits: int = 1

    @classmethod
    def start(cls, folder: Path, *, now: datetime = NOW, bits: int = 1, publishers: int = 1) -> Nightly:
        nightly = cls(folder, bits=bits)
        nightly.keys = {
            name: [CryptoSigner.generate_ed25519() for _ in range(count)]
            for name, count in {
                "root": 3, "targets": 2, "snapshot": 1, "timestamp": 1, "maintainer": 2, "publisher": publishers,
            }.items()
        }  # fmt: skip
        thresholds = {"root": 2, "targets": 2, "snapshot": 1, "timestamp": 1}
        roles = {name: Role(tuple(k.public_key for k in nightly.keys[name]), t) for name, t in thresholds.items()}
        nightly.commit(start(roles, now, DEFAULT_LIFETIMES), now)
        root = nightly.site.read("tuf/1.root.json")
        assert root is not None
        nightly.root = root
        nightly.add_index("nightly/cpu", now, threshold=publishers)
        return nightly

    @property
    def site(self) -> FolderSite:
        return FolderSite(self.folder / "site")

    @property
    def store(self) -> Store:
        return Store(self.folder / "store")

    @property
    def all_keys(self) -> list[Signer]:
        return [key for keys in self.keys.values() for key in keys]

    def commit(
        self, draft: Draft, now: datetime = NOW, *, signers: Sequence[Signer] | None = None, site: Site | None = None
    ) -> int:
        signers = self.all_keys if signers is None else signers
        draft.sign(signers)
        site = site or self.site
        root = draft.metadata.get("root")
        state = load_state(site, self.root, before=root.signed.version if root else None) if self.root else None
        with site.locked():
            return commit(site, state, draft, signers, now, DEFAULT_LIFETIMES)

    def add_index(self, index: str, now: datetime = NOW, *, threshold: int = 1) -> None:
        maintainers = Role(tuple(key.public_key for key in self.keys["maintainer"]), 1)
        publishers = Role(tuple(key.public_key for key in self.keys["publisher"]), threshold)
        state = load_state(self.site, self.root)
        self.commit(add_index(state, index, maintainers, publishers, self.bits, now, DEFAULT_LIFETIMES), now)

    def publisher(self, *, site: Site | None = None, **more: Any) -> Publisher:
        online = [*self.keys["publisher"], *self.keys["snapshot"], *self.keys["timestamp"]]
        return Publisher(**{"site": site or self.site, "trusted_root": self.root, "signers": online} | more)

    def publish(self, *wheels: Path, lock: Lock | None = None, now: datetime = NOW, index: str = "nightly/cpu",
                site: Site | None = None, publisher: Publisher | None = None, **request: Any) -> Outcome:  # fmt: skip
        lock = lock or Lock(Path("lock.txt"), ())
        return (publisher or self.publisher(site=site)).publish(
            Request(index, wheels, lock, OWNED, **request), self.store, trusting, now
        )

    def state(self) -> Any:
        return load_state(self.site, self.root)


class _Handler(SimpleHTTPRequestHandler):
    """Static files; with ``json_pages``, folders are answered with their JSON page, as a configured server would."""

    json_pages = False
    requests: list[tuple[str, int]]

    def do_GET(self) -> None:
        if self.path.endswith("/") and self.json_pages:
            self.path += "index.json"
        super().do_GET()

    def guess_type(self, path: Any) -> str:
        if str(path).endswith("/index.json") and self.json_pages:
            return "application/vnd.pypi.simple.v1+json"
        return super().guess_type(path)

    def copyfile(self, source: Any, outputfile: Any) -> None:
        data = source.read()
        self.requests.append((self.path, len(data)))
        outputfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def serve(folder: Path, *, json_pages: bool = False) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Serve a folder on loopback: its address, and the list of (path, bytes) that were sent."""
    sent: list[tuple[str, int]] = []
    handler = type("Handler", (_Handler,), {"json_pages": json_pages, "requests": sent})
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    with answering(server) as address:
        yield address, sent


def client(address: str, cache: Path, root: bytes, path: str = "nightly/cpu/wootz/index.json") -> dict[str, Any]:
    """What an independent TUF client (python-tuf's) accepts as a page; raises what it raises."""
    cache.mkdir(parents=True, exist_ok=True)
    updater = Updater(
        str(cache),
        f"{address}/tuf/",
        str(cache),
        f"{address}/",
        config=UpdaterConfig(max_root_rotations=32),
        bootstrap=root,
    )
    updater.refresh()
    target = updater.get_targetinfo(path)
    if target is None:
        raise LookupError(path)
    page: dict[str, Any] = json.loads(Path(updater.download_target(target, str(cache / "page.json"))).read_bytes())
    return page


@contextlib.contextmanager
def memory_folder(otherwise: Path) -> Iterator[Path]:
    """A folder in memory where the machine has one: publishing waits for the disk at every file."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield otherwise
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed pip, away from the machine's configuration."""
    command = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", *arguments]
    return _run(command, {"PIP_CONFIG_FILE": os.devnull})


def uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed uv's pip interface, away from the machine's configuration; skips where uv is missing."""
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if found is None:
        pytest.skip("uv is not installed")
    command = [found, "pip", *arguments, "--no-config", "--no-cache", "--python", sys.executable]
    return _run(command, {})


def installed(folder: Path) -> set[str]:
    """Name and version of what an installer put into a target folder."""
    return {path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info")}


def _run(command: list[str], more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    return subprocess.run(command, env=clean | more, capture_output=True, text=True, timeout=120)


def hours(count: float) -> timedelta:
    """A duration."""
    return timedelta(hours=count)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()

"""An index with wheels that are really signed, and a client of it: what the tests of installing start from."""

from __future__ import annotations

import json
import sys
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from tests.support.attacker import forge, page_role
from tests.support.nightly import NOW, Nightly, lock_of, make_wheel, memory_folder, serve
from tests.support.sigstore import Instance, draft_bundle, workflow_claims
from tests.support.sigstore.scene import definition, rule

from millcert.attest import Policy, Subject, provenance
from millcert.attest.trust import read_trusted_root
from millcert.attest.verify import Verifier
from millcert.index import ClientConfiguration
from millcert.install.anchor import Anchor
from millcert.install.environment import Environment, read_environment
from millcert.install.installer import Installer, Prepared, Request, open_index
from millcert.install.source import BoundTransport, HttpSource, Source
from millcert.install.state import State
from millcert.lock import Lock
from millcert.model import digest_of, digest_of_file
from millcert.names import normalize
from millcert.publish.page import Page, PageFile, page_path, parse_page

__all__ = [
    "CPU", "FIRST", "INDEX", "SECOND", "WOOTZ", "Client", "Stall", "instance", "sbom_of", "site", "stall",
    "this_python",
]  # fmt: skip

INDEX, WOOTZ = "nightly/cpu", normalize("wootz")
FIRST, SECOND = "0.1.0.dev20261123+cpu", "0.1.0.dev20261124+cpu"
CPU = Request(WOOTZ, INDEX)


@cache
def instance() -> Instance:
    """The Sigstore of all tests of a process."""
    return Instance()


@cache
def this_python() -> Environment:
    """The interpreter that runs the tests, as an environment to install into."""
    return read_environment(Path(sys.executable))


def new_environment(folder: Path) -> Environment:
    """An empty environment with its own pip."""
    venv.create(folder, with_pip=True, symlinks=True)
    return read_environment(folder / "bin" / "python")


def sbom_of(version: str, name: str = "wootz", compiler: str = "b" * 64) -> bytes:
    """A CycloneDX document about a release, which was built with the compiler that its provenance names."""
    component = {"type": "library", "name": name, "version": version}
    read = {"type": "library", "name": "ziglang", "hashes": [{"alg": "SHA-256", "content": compiler}]}
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"component": component}}
    return json.dumps({**document, "components": [read]}).encode()


@dataclass
class Stall:
    """A signed index whose wheels are signed by the test Sigstore, and what a client must know to verify them."""

    nightly: Nightly
    lock: Lock = field(default_factory=lambda: Lock(Path("lock.txt"), ()))

    @classmethod
    def open(cls, folder: Path, *, now: datetime = NOW) -> Stall:
        """An index with a dependency, ``anvil``, and one night that requires it."""
        stall = cls(Nightly.start(folder, now=now))
        stall.lock = lock_of(stall.nightly.store, make_wheel(folder / "third", "anvil", "2.0", content=b"weight = 7\n"))
        stall.night(FIRST, now=now)
        return stall

    def wheel(
        self, version: str, *, claims: Sequence[Mapping[str, object]] = (), extra: Mapping[str, bytes] | None = None,
        requires: Sequence[str] = ("anvil>=1",), content: bytes = b"import anvil\n", sbom: bytes | None = None,
        signed: datetime | None = None, **changes: Any,
    ) -> Path:  # fmt: skip
        """A wheel with everything beside it; one bundle for each identity in ``claims``, by default the honest one."""
        sbom = sbom_of(version) if sbom is None else sbom
        more = {"sboms/wheel.cdx.json": sbom, **(extra or {})}
        path = make_wheel(
            self.nightly.folder / "dist", "wootz", version, requires=requires, content=content, extra=more
        )
        statement = provenance([Subject(path.name, digest_of_file(path))], definition(**changes))
        path.with_name(f"{path.name}.cdx.json").write_bytes(sbom)
        path.with_name(f"{path.name}.provenance.json").write_bytes(statement)
        times: dict[str, Any] = {"logged_time": signed, "stamp_time": signed} if signed else {}
        if signed:
            times["time"] = signed
        for number, who in enumerate(claims or [workflow_claims()]):
            label = f".{number}" if number else ""
            bundle = draft_bundle(instance(), statement, who, **times)
            path.with_name(f"{path.name}{label}.sigstore.json").write_bytes(bundle.to_bytes())
        return path

    def night(self, version: str, *, now: datetime = NOW, **how: Any) -> Path:
        """Publish a wheel; the publisher of these tests believes every bundle, so that clients meet bad ones."""
        path = self.wheel(version, **how)
        self.nightly.publish(path, lock=self.lock, now=now)
        return path

    def forge_page(self, change: Any, name: str = "wootz") -> None:
        """What who stole the publisher's and the online keys can do: sign another page."""
        path = page_path(INDEX, normalize(name))
        data = self.nightly.state().page(path)
        page: Page = change(parse_page(data))
        forged = page.to_bytes()

        def put(signed: Any) -> None:
            from tuf.api.metadata import TargetFile

            signed.targets[path] = TargetFile.from_data(path, forged, ["sha256"])

        folder, _, base = path.rpartition("/")
        (self.nightly.site.root / folder / f"{digest_of(forged)}.{base}").write_bytes(forged)
        forge(self.nightly, page_role(self.nightly, path), put, self.nightly.keys["publisher"])

    def forge_file(self, change: Any) -> None:
        """Sign a page whose files are changed, one by one."""
        self.forge_page(lambda page: replace(page, files=tuple(change(file) for file in page.files)))

    def put(self, name: str, data: bytes) -> dict[str, Any]:
        """Put a file beside the wheels; how a page pins it."""
        path = self.nightly.site.root / "files" / "wootz" / name
        path.write_bytes(data)
        return {"url": f"../../../files/wootz/{name}", "sha256": digest_of(data), "size": len(data)}

    def pin(self, kind: str, pinned: Any) -> None:
        """Sign a page on which ``kind`` is pinned to something else."""
        self.forge_file(lambda file: replace(file, evidence={**file.evidence, kind: pinned}))

    def stored(self, kind: str) -> Path:
        """The file of the site that is the first wheel's ``kind``."""
        file = self.listed()
        pin = file.evidence["bundles"][0] if kind == "bundle" else file.evidence[kind]
        return (self.nightly.site.root / "nightly/cpu/wootz" / unquote(pin["url"])).resolve()

    def listed(self) -> PageFile:
        """The newest wheel on the page."""
        return parse_page(self.nightly.state().page(page_path(INDEX, WOOTZ))).files[-1]


@pytest.fixture
def stall(tmp_path: Path) -> Iterator[Stall]:
    """A signed index with one night."""
    with memory_folder(tmp_path) as folder:
        yield Stall.open(folder)


@pytest.fixture
def site(stall: Stall) -> Iterator[str]:
    """Its address."""
    with serve(stall.nightly.site.root) as (address, _):
        yield address


@dataclass
class Client:
    """Somebody who installs: state in a folder, an anchor, a policy, a clock."""

    folder: Path
    anchor: Anchor
    policy: Policy = field(default_factory=lambda: Policy((rule(instance(), same_commit=False),)))
    now: datetime = NOW
    environment: Environment = field(default_factory=this_python)
    transport: BoundTransport = field(
        default_factory=lambda: BoundTransport(ClientConfiguration("", timeout=5.0), sleep=lambda seconds: None)
    )

    @property
    def state(self) -> State:
        return State(self.folder / "state")

    def verifier(self) -> Verifier:
        path = self.folder / "trusted_root.json"
        self.folder.mkdir(exist_ok=True, parents=True)
        path.write_bytes(instance().trusted_root_json())
        return Verifier(read_trusted_root(path), self.policy)

    def installer(self, where: str | Source) -> Installer:
        source = HttpSource(where, self.transport) if isinstance(where, str) else where
        state = self.state
        index = open_index(source, self.anchor, state, self.now)
        return Installer(index, self.verifier(), digest_of(b"policy"), state, self.environment, self.now, _quiet)

    @contextmanager
    def prepare(self, where: str | Source, request: Request = CPU) -> Iterator[Prepared]:
        with self.installer(where).prepare(request) as prepared:
            yield prepared

    def verified(self, where: str | Source, request: Request = CPU) -> list[str]:
        """The versions that would be installed; raises what refuses them."""
        with self.prepare(where, request) as prepared:
            return [f"{wheel.name} {wheel.version}" for wheel in prepared.wheels]

    def install(self, where: str | Source, target: Path, request: Request = CPU) -> Path:
        installer = self.installer(where)
        with installer.prepare(request) as prepared:
            return installer.install(prepared, target)

    def later(self, **delta: float) -> Client:
        return replace(self, now=self.now + timedelta(**delta))


def _quiet(filename: str, received: int, size: int) -> None:
    """Nothing is shown."""

"""Who installs wootz from a mirror that is hostile, from an index whose keys were stolen, over a bad network.

Rows for ``tests.support.contest``: the index is signed and its wheels are attested by the loopback Sigstore. pip and uv
read the index's pages over HTTP as they would anywhere; millcert installs with the same address and its anchor.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import copy
import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import Any

from securesystemslib.signer import CryptoSigner
from tests.support.attacker import forge
from tests.support.badserver import Fault, alter, dropped, endless, misbehaving
from tests.support.contest import Attack, Outcome, installer_environment, pip_install, run_installer, uv_install
from tests.support.installing import FIRST, INDEX, SECOND, Client, Stall, instance, sbom_of
from tests.support.nightly import NOW, build_wheel, make_wheel
from tests.support.sigstore import Instance, draft_bundle, workflow_claims

from millcert.errors import MillcertError
from millcert.index import ClientConfiguration
from millcert.install.anchor import Anchor
from millcert.install.source import BoundTransport
from millcert.keys import DEFAULT_LIFETIMES
from millcert.model import Digest, digest_of
from millcert.names import normalize
from millcert.publish import FolderSite, LostRaceError
from millcert.publish.ceremony import change_role
from millcert.publish.html import render_html
from millcert.publish.page import Page, PageFile

__all__ = ["HOSTILE", "Market"]

EVIL = b"WHOSE = 'stranger'\n"
PAGE = f"{INDEX}/wootz"


@cache
def _base() -> Stall:
    """An index with one honest night; each row gets a copy."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="market-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Stall.open(folder)


@dataclass
class Market:
    """A signed index, what a mirror makes of it, and somebody who installs."""

    folder: Path
    stall: Stall
    client: Client
    served: Path
    faults: Mapping[tuple[str, ...], Fault]
    newest: str = FIRST
    exhausted: bool = False
    timeout: int = 30  # seconds without a byte

    # -- what attackers do

    def evil_wheel(self, version: str = FIRST, **how: Any) -> Path:
        """A stranger's wheel of our name."""
        return make_wheel(self.folder / "evil", "wootz", version, **{"content": EVIL, **how})

    def show(self, page: Page) -> None:
        """Put a page where pip and uv look, and its metadata nowhere: whoever has the mirror can."""
        folder = self.served / PAGE
        data = page.to_bytes()
        (folder / "index.json").write_bytes(data)
        (folder / "index.html").write_bytes(render_html(data))

    def offer(self, wheel: Path) -> PageFile:
        """Put a wheel on the mirror under its name, and on the page that pip and uv read."""
        data, served = wheel.read_bytes(), self.served / "files" / "wootz" / wheel.name
        if served.exists():
            served.chmod(0o644)
        served.write_bytes(data)
        url = f"../../../files/wootz/{wheel.name.replace('+', '%2B')}"
        file = PageFile(wheel.name, url, digest_of(data), len(data), NOW, ">=3.11")
        self.show(Page(normalize("wootz"), (file,)))
        return file

    def sign_page(self, change: Callable[[Page], Page]) -> None:
        """What stolen publisher's and online keys can do: sign another page, for every reader."""
        pages: list[Page] = []
        self.stall.forge_page(lambda page: pages.append(change(page)) or pages[0])
        self.show(pages[0])

    def exchange(self, wheel: Path) -> None:
        """Sign a page on which the honest night's evidence stands beside another wheel, its lock changed to fit."""
        before, file = self.stall.listed(), self.offer(wheel)
        lock = self.stall.stored("pylock").read_bytes().replace(before.digest.encode(), file.digest.encode())
        pin = self.stall.put("evil.toml", lock)
        self.sign_page(lambda page: replace(page, files=(replace(file, evidence={**before.evidence, "pylock": pin}),)))

    def night(self, bundle: Callable[[bytes], bytes] | None = None, **how: Any) -> None:
        """Publish a second night as the publisher would, its bundle exchanged before."""
        wheel = self.stall.wheel(SECOND, **how)
        if bundle is not None:
            statement = wheel.with_name(f"{wheel.name}.provenance.json").read_bytes()
            wheel.with_name(f"{wheel.name}.sigstore.json").write_bytes(bundle(statement))
        self.stall.nightly.publish(wheel, lock=self.stall.lock)
        self.newest = SECOND

    def serve_copy(self) -> Path:
        """From now on the mirror serves what is there at this moment."""
        shutil.copytree(self.served, self.folder / "copy")
        self.served = self.folder / "copy"
        return self.served

    # -- those who install

    @contextlib.contextmanager
    def _serving(self) -> Iterator[str]:
        def fault(handler: SimpleHTTPRequestHandler) -> None:
            path = handler.path.partition("?")[0]
            next(fault for ends, fault in self.faults.items() if path.endswith(ends))(handler)

        ends = tuple(end for many in self.faults for end in many) or ("\0",)
        with misbehaving(self.served, ends, fault) as address:
            yield address

    def _alone(self, who: str, command: list[str], index: str) -> Outcome:
        self.exhausted = False
        environment = installer_environment(
            self.folder, {"PIP_TIMEOUT": f"{self.timeout}", "UV_HTTP_TIMEOUT": f"{self.timeout}"}
        )
        with self._serving() as address:
            outcome = run_installer(
                [*command, index, f"{address}/{INDEX}/", "wootz"], self.folder, self.folder / who, environment
            )
        return self._judged(outcome)

    def _judged(self, outcome: Outcome) -> Outcome:
        if self.exhausted:
            return Outcome("endless", f"until the server stopped: {outcome.detail}"[:110])
        if outcome.whose == "ours" and f"wootz-{self.newest}" not in outcome.detail:
            return replace(outcome, whose="old")
        return outcome

    def pip(self) -> Outcome:
        """pip alone, with this one index."""
        return self._alone("pip", [*pip_install(), "--pre"], "--index-url")

    def uv(self) -> Outcome:
        """uv alone, likewise."""
        return self._alone("uv", [*uv_install(), "--prerelease", "allow"], "--default-index")

    def millcert(self) -> Outcome:
        """``millcert install``."""
        self.exhausted = False
        target = self.folder / "millcert"
        try:
            with self._serving() as address:
                self.client.install(address, target)
        except MillcertError as error:
            return self._judged(Outcome("nothing", f"{type(error).__name__}: {error.message}"))
        from tests.support.contest import installed

        return self._judged(installed(target))


@contextlib.contextmanager
def market(folder: Path) -> Iterator[Market]:
    """A market that nobody has attacked yet."""
    base = _base()
    home = Path(tempfile.mkdtemp(dir=base.nightly.folder.parent, prefix="market-"))
    try:
        shutil.copytree(base.nightly.folder, home, dirs_exist_ok=True)
        nightly = replace(
            base.nightly, folder=home, keys={role: list(keys) for role, keys in base.nightly.keys.items()}
        )
        folder.mkdir(exist_ok=True, parents=True)
        client = Client(folder / "client", Anchor(nightly.root))
        yield Market(folder, Stall(nightly, base.lock), client, nightly.site.root, {})
    finally:
        shutil.rmtree(home, ignore_errors=True)


# -- a hostile mirror, which has no keys


def _altered_wheel(m: Market) -> None:
    alter(next((m.served / "files" / "wootz").glob("*.whl")))


def _exchanged_wheel(m: Market) -> None:
    m.offer(m.evil_wheel())


def _altered_page(m: Market) -> None:
    for page in (m.served / PAGE).glob("*.index.json"):
        alter(page)
    m.offer(m.evil_wheel(SECOND))


def _altered_metadata(m: Market) -> None:
    """The core metadata that resolvers read by itself asks for one more project, which the mirror has."""
    listed = m.stall.listed()
    data = next((m.served / "files" / "wootz").glob("*.metadata"))
    data.chmod(0o644)
    data.write_bytes(data.read_bytes().rstrip() + b"\nRequires-Dist: torchtriton\n")
    m.show(Page(normalize("wootz"), (replace(listed, metadata=digest_of(data.read_bytes())),)))
    evil = make_wheel(m.served / "files" / "torchtriton", "torchtriton", "1.0", content=EVIL)
    folder = m.served / INDEX / "torchtriton"
    folder.mkdir()
    file = PageFile(evil.name, f"../../../files/torchtriton/{evil.name}", digest_of(evil.read_bytes()), 1, NOW)
    (folder / "index.html").write_bytes(render_html(Page(normalize("torchtriton"), (file,)).to_bytes()))


def _altered_beside(m: Market, kind: str) -> None:
    alter(m.stall.stored(kind))


# -- stolen publisher's and online keys


def _stripped(m: Market) -> None:
    file = m.offer(m.evil_wheel(SECOND))
    m.sign_page(lambda page: replace(page, files=(*page.files, file)))
    m.newest = SECOND


def _bundle_of_other_bytes(m: Market) -> None:
    m.exchange(m.evil_wheel())


def _forged_bundle(m: Market) -> None:
    """The honest bundle, its payload exchanged for a statement about the stranger's wheel."""

    def bundle(statement: bytes) -> bytes:
        fields = json.loads(m.stall.stored("bundle").read_bytes())
        fields["dsseEnvelope"]["payload"] = base64.b64encode(statement).decode()
        return json.dumps(fields).encode()

    m.night(bundle, content=EVIL)


def _forged_authority(m: Market) -> None:
    """An authority of the attacker's certifies the honest builder's name; the public log takes the entry."""
    other = copy.copy(instance())
    other.fulcio = Instance("https://attacker.example").fulcio
    m.night(lambda statement: draft_bundle(other, statement, workflow_claims()).to_bytes(), content=EVIL)


def _poisoned_cache(m: Market) -> None:
    """The same, and the attacker's metadata and roots lie where this machine keeps its own."""
    _forged_authority(m)
    other = Stall.open(m.folder / "attacker").nightly.site.root / "tuf"
    kept = m.client.state.cache(m.client.anchor.digest)
    (kept / "root_history").mkdir(parents=True)
    for name in ("timestamp.json", "snapshot.json", "targets.json"):
        shutil.copy(sorted(other.glob(f"*{name}"))[-1], kept / name)
    shutil.copy(other / "1.root.json", kept / "root_history" / "2.root.json")
    cache = m.folder / "home" / ".cache" / "sigstore-python" / "tuf"
    cache.mkdir(parents=True)
    (cache / "trusted_root.json").write_bytes(Instance("https://attacker.example").trusted_root_json())


def _attested_by(m: Market, **claims: str) -> None:
    m.night(claims=[workflow_claims(**claims)], content=EVIL)  # type: ignore[arg-type]  # strings, all of them


def _another_statement(m: Market) -> None:
    """Provenance that hides where the wheel's sources came from."""
    statement = m.stall.stored("provenance").read_bytes().replace(b"a" * 40, b"b" * 40)
    m.stall.pin("provenance", m.stall.put("evil.provenance.json", statement))


def _another_sbom(m: Market) -> None:
    """An SBOM that hides a component."""
    m.stall.pin("sbom", m.stall.put("evil.cdx.json", sbom_of(FIRST) + b" "))


# -- time and keys


def _seen(m: Market) -> None:
    with m._serving() as address:
        m.client.verified(address)


def _rollback(m: Market) -> None:
    before = m.folder / "before"
    shutil.copytree(m.served, before)
    m.night()
    _seen(m)
    m.served = before


def _frozen(m: Market) -> None:
    m.serve_copy()
    m.newest = SECOND
    m.client = m.client.later(hours=37)


def _older_than_floor(m: Market) -> None:
    m.serve_copy()
    m.night()
    version = m.stall.nightly.state().version("timestamp")
    m.client = replace(m.client, anchor=Anchor(m.stall.nightly.root, version, NOW - timedelta(days=1)))


def _mixed(m: Market) -> None:
    """The newest timestamp and snapshot, and under the newest names the pages of the night before."""
    state = m.stall.nightly.state()
    role = state.page_role(f"{PAGE}/index.json")
    before = m.folder / "before"
    shutil.copytree(m.served, before)
    m.night()
    newest = m.stall.nightly.state().version(role)
    shutil.copy(before / "tuf" / f"{state.version(role)}.{role}.json", m.served / "tuf" / f"{newest}.{role}.json")
    for view in ("index.html", "index.json"):
        shutil.copy(before / PAGE / view, m.served / PAGE / view)


def _other_keys(m: Market) -> None:
    stranger = Stall.open(m.folder / "stranger")
    stranger.night(SECOND, content=EVIL)
    m.served, m.newest = stranger.nightly.site.root, SECOND


def _too_few(m: Market) -> None:
    """One of the two core maintainers delegates the index to the attacker."""
    forge(m.stall.nightly, "targets", lambda signed: None, m.stall.nightly.keys["targets"][:1])
    m.offer(m.evil_wheel())


def _rotate(m: Market, holder: str, role: str) -> CryptoSigner:
    """Replace a key of a role; the old one."""
    nightly, new = m.stall.nightly, CryptoSigner.generate_ed25519()
    old = nightly.keys[holder][0]
    draft = change_role(
        nightly.state(), role, add=[new.public_key], remove=[old.public_key.keyid], now=NOW, lifetimes=DEFAULT_LIFETIMES
    )
    nightly.keys[holder].append(new)
    nightly.commit(draft)
    nightly.keys[holder].remove(old)
    assert isinstance(old, CryptoSigner)
    return old


def _revoked(m: Market) -> None:
    m.stall.nightly.keys["publisher"] = [_rotate(m, "publisher", "nightly-cpu-pages")]
    _stripped(m)


def _expired_root(m: Market) -> None:
    """The root ran out a day ago; everything under it is fresh."""
    old = Stall.open(m.folder / "old", now=NOW - timedelta(days=366))
    old.nightly.publisher().refresh(NOW)
    m.stall, m.served = old, old.nightly.site.root
    m.client = replace(m.client, anchor=Anchor(old.nightly.root))
    m.offer(m.evil_wheel())


# -- the network


def _endless(m: Market) -> None:
    def fault(handler: SimpleHTTPRequestHandler) -> None:
        endless(handler)
        m.exhausted = getattr(handler.server, "finished", False)

    m.faults = {(".whl",): fault}


def _slow(m: Market) -> None:
    """A byte now and then: no pause is as long as a time-out."""

    def fault(handler: SimpleHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.end_headers()
        pause = Event()
        try:
            for _ in range(26):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                pause.wait(0.25)
        except OSError:
            return
        m.exhausted = True

    m.faults, m.timeout = {("/wootz/", "timestamp.json"): fault}, 5
    clock = iter(range(0, 10**9, 61))  # for a client that looks at its clock, a minute a byte
    m.client.transport = BoundTransport(
        ClientConfiguration("", timeout=5.0), sleep=lambda seconds: None, clock=lambda: float(next(clock))
    )


def _redirected(m: Market) -> None:
    """The mirror hands over to another host, which has a stranger's page and wheel."""
    evil = m.folder / "elsewhere"
    shutil.copytree(m.served, evil)
    honest, m.served = m.served, evil
    m.offer(m.evil_wheel(SECOND))
    m.served = honest

    def fault(handler: SimpleHTTPRequestHandler) -> None:
        if handler.headers["Host"].startswith("localhost"):
            handler.directory = str(evil)
            return SimpleHTTPRequestHandler.do_GET(handler)
        port = handler.server.server_address[1]
        handler.send_response(302)
        handler.send_header("Location", f"http://localhost:{port}{handler.path}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return None

    m.faults = {("/wootz/", "timestamp.json", ".whl"): fault}


def _dropped(m: Market) -> None:
    m.faults = {(".whl",): dropped}


# -- wheels


def _twice(m: Market) -> None:
    wheel = make_wheel(m.folder / "evil", "wootz", FIRST, content=b"import anvil\n")
    import warnings

    with zipfile.ZipFile(wheel, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("wootz.py", EVIL)
    m.exchange(wheel)


def _hidden_archive(m: Market) -> None:
    """Bytes before the archive: another reader finds another archive in them."""
    wheel, inner = m.evil_wheel(), make_wheel(m.folder / "inner", "wootz", FIRST, content=b"import anvil\n")
    wheel.write_bytes(inner.read_bytes() + wheel.read_bytes())
    m.exchange(wheel)


def _with_member(m: Market, name: str, data: bytes = EVIL) -> None:
    """One more file in the wheel, named in RECORD as it should be."""
    wheel = make_wheel(m.folder / "evil", "wootz", FIRST, content=b"import anvil\n")
    with zipfile.ZipFile(wheel) as archive:
        members = {entry: archive.read(entry) for entry in archive.namelist()}
    (record,) = (entry for entry in members if entry.endswith("/RECORD"))
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    members[record] = f"{name},sha256={digest},{len(data)}\n".encode() + members[record]
    with zipfile.ZipFile(wheel, "w") as archive:
        for entry, content in {name: data, **members}.items():
            archive.writestr(entry, content)
    m.exchange(wheel)


# -- the publisher's side, and the honest one


def _crash(m: Market) -> None:
    """The publisher dies half-way: readers see the night before, whole."""

    class Dying(FolderSite):
        left = 6

        def create(self, path: str, chunks: Any, digest: Digest) -> None:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
            super().create(path, chunks, digest)

    wheel = m.stall.wheel(SECOND)
    with contextlib.suppress(KeyboardInterrupt):
        m.stall.nightly.publish(wheel, lock=m.stall.lock, site=Dying(m.stall.nightly.site.root))
    assert not (m.served / "files" / "wootz" / "published").exists()


def _race(m: Market) -> None:
    """Two publishers on two machines: one wins, the other is told and changes nothing."""

    class Shared(FolderSite):
        between = True

        def locked(self) -> contextlib.AbstractContextManager[None]:
            return contextlib.nullcontext()

        def create(self, path: str, chunks: Any, digest: Digest) -> None:
            if self.between and path.startswith("tuf/"):
                self.between = False
                m.night()
            super().create(path, chunks, digest)

    other = build_wheel(m.folder / "dist", "0.1.0.dev20261122+cpu")
    try:
        m.stall.nightly.publish(other, lock=m.stall.lock, site=Shared(m.stall.nightly.site.root))
    except LostRaceError:
        return
    raise AssertionError("both publishers won")


def _rotations(m: Market) -> None:
    """Every role gets another key, root three times; the client knows the first root, and has been here before."""
    _seen(m)
    for _ in range(3):
        _rotate(m, "root", "root")
    for holder, role in (
        ("targets", "targets"), ("snapshot", "snapshot"), ("timestamp", "timestamp"), ("maintainer", "nightly-cpu"),
        ("publisher", "nightly-cpu-pages"),
    ):  # fmt: skip
        _rotate(m, holder, role)
    m.night()


def _skewed(m: Market, minutes: int) -> None:
    _seen(m)
    m.client = m.client.later(minutes=minutes)


def _row(name: str, prepare: Callable[[Market], None], *expected: str) -> Attack:
    @contextlib.contextmanager
    def scene(folder: Path) -> Iterator[Market]:
        with market(folder) as prepared:
            prepare(prepared)
            yield prepared

    return Attack(name, scene, *expected)


HOSTILE = (
    _row("mirror: wheel altered", _altered_wheel, "nothing", "nothing", "nothing", "HashMismatchError"),
    _row("mirror: wheel exchanged, its hash on the page too", _exchanged_wheel,
         "stranger", "stranger", "nothing", "UnavailableError"),
    _row("mirror: page altered", _altered_page, "stranger", "stranger", "nothing", "IndexRefusedError"),
    _row("mirror: core metadata altered, asks for a stranger's project", _altered_metadata,
         "nothing", "stranger", "ours"),
    _row("mirror: bundle altered", partial(_altered_beside, kind="bundle"),
         "ours", "ours", "nothing", "HashMismatchError"),
    _row("mirror: SBOM altered", partial(_altered_beside, kind="sbom"), "ours", "ours", "nothing", "HashMismatchError"),
    _row("mirror: provenance altered", partial(_altered_beside, kind="provenance"),
         "ours", "ours", "nothing", "HashMismatchError"),
    _row("stolen index keys: attestation stripped", _stripped, "stranger", "stranger", "nothing", "EvidenceError"),
    _row("stolen index keys: attestation of other bytes", _bundle_of_other_bytes,
         "stranger", "stranger", "nothing", "SubjectMismatchError"),
    _row("stolen index keys: bundle forged", _forged_bundle, "stranger", "stranger", "nothing", "SignatureError"),
    _row("stolen index keys: provenance exchanged", _another_statement, "ours", "ours", "nothing", "EvidenceError"),
    _row("stolen index keys: SBOM exchanged", _another_sbom, "ours", "ours", "nothing", "EvidenceError"),
    _row("forged certificate authority", _forged_authority, "stranger", "stranger", "nothing", "CertificateError"),
    _row("forged authority, and poisoned local trust caches", _poisoned_cache,
         "stranger", "stranger", "nothing", "CertificateError"),
    _row("valid attestation of another project", partial(_attested_by, repository="example/other"),
         "stranger", "stranger", "nothing", "IdentityRefusedError"),
    _row("valid attestation of another branch", partial(_attested_by, ref="refs/heads/feature"),
         "stranger", "stranger", "nothing", "IdentityRefusedError"),
    _row("valid attestation of another workflow", partial(_attested_by, workflow="pull-request.yml"),
         "stranger", "stranger", "nothing", "IdentityRefusedError"),
    _row("valid attestation of a repository that took over the name", partial(_attested_by, repository_id="6666"),
         "stranger", "stranger", "nothing", "IdentityRefusedError"),
    _row("rollback to the night before", _rollback, "old", "old", "nothing", "StaleIndexError"),
    _row("rollback, shown to a new client", _older_than_floor, "old", "old", "nothing", "StaleIndexError"),
    _row("freeze: an index from 37 hours ago", _frozen, "old", "old", "nothing", "StaleIndexError"),
    _row("mix and match of two nights", _mixed, "old", "old", "nothing", "IndexRefusedError"),
    _row("wrong keys: a whole index by somebody else", _other_keys,
         "stranger", "stranger", "nothing", "IndexRefusedError"),
    _row("too few keys", _too_few, "stranger", "stranger", "nothing", "IndexRefusedError"),
    _row("revoked key", _revoked, "stranger", "stranger", "nothing", "IndexRefusedError"),
    _row("expired root", _expired_root, "stranger", "stranger", "nothing", "StaleIndexError"),
    _row("endless data for a wheel of a kilobyte", _endless, "endless", "nothing", "nothing", "OversizeError"),
    _row("slow server, a byte before every time-out", _slow, "endless", "endless", "nothing", "UnreachableIndexError"),
    _row("redirect to another host", _redirected, "stranger", "stranger", "nothing", "UnreachableIndexError"),
    _row("dropped connection", _dropped, "nothing", "nothing", "nothing", "UnavailableError"),
    _row("ambiguous zip: one name twice", _twice, "stranger", "nothing", "nothing", "HostileWheelError"),
    _row("ambiguous zip: an archive before the archive", _hidden_archive,
         "stranger", "nothing", "nothing", "HostileWheelError"),
    _row("path traversal in a wheel", partial(_with_member, name="../../evil.py"),
         "nothing", "ours", "nothing", "HostileWheelError"),
    _row("undeclared .pth file", partial(_with_member, name="evil.pth", data=b"import stranger\n"),
         "stranger", "stranger", "nothing", "HostileWheelError"),
    _row("undeclared data file outside the packages",
         partial(_with_member, name=f"wootz-{FIRST}.data/data/etc/profile.d/stranger.sh"),
         "stranger", "stranger", "nothing", "HostileWheelError"),
    _row("race between two publishers", _race, "ours", "ours", "ours"),
    _row("publisher dies half-way", _crash, "ours", "ours", "ours"),
    _row("no attack: every role's keys rotated, root three times", _rotations, "ours", "ours", "ours"),
    _row("no attack: clock 9 minutes behind", partial(_skewed, minutes=-9), "ours", "ours", "ours"),
    _row("no attack: clock 9 minutes ahead", partial(_skewed, minutes=9), "ours", "ours", "ours"),
)  # fmt: skip

"""The pages on publishing, installing, keys and guarding, run: each command as it stands there, in its order.

Names of servers and what only a reader can know (a file's name, a key's id) are filled in; an index of one's own, a
bucket, an upstream index and the Sigstore are on loopback.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.support.bucket import SECRET, bucket
from tests.support.index import loopback_index
from tests.support.installing import FIRST, Stall, instance, new_environment
from tests.support.nightly import Nightly, installed, lock_of, make_wheel, memory_folder, pip, serve, uv
from tests.support.sigstore.scene import BUILD_TYPE, BUILDER_ID, IDENTITY

from millcert.attest.trust import parse_trusted_root
from millcert.cli import _millcert
from millcert.keys import create_key, read_key, write_key
from millcert.lock import render_lock

ROOT = Path(__file__).parent.parent
PASSWORD = "correct horse"
HOLDERS = ("alice", "bob", "carol", "dora", "erin", "online", "ci-cpu", "new")


def commands(page: str) -> list[str]:
    """The commands that stand on lines of their own, and those of tables, in order."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.finditer(
        r"^    ((?:millcert|pip|uv) .*?)(?: {2,}#.*)?$|`(millcert (?:index|keys) [^`]* [^`]*)`", text, re.MULTILINE
    )
    return [match[1] or match[2] for match in found]


class Desk:
    """A folder in which the commands are run, and what stands for the names in them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.names = folder, {"~/": f"{folder}/home/"}
        self.ran: list[str] = []
        keys = folder / "home" / "keys"
        keys.mkdir(parents=True)
        for name in HOLDERS:
            document = create_key(name, PASSWORD, cost=1 << 10)
            write_key(document, (keys if name in ("alice", "dora") else folder) / f"{name}.key")
            write_key(document.card, folder / f"{name}.pub")
        (folder / "policy.toml").write_text(
            f'[[builder]]\nidentity = "{IDENTITY}"\nissuer = "{instance().issuer.url}"\n'
            f'build-type = "{BUILD_TYPE}"\nbuilder-id = "{BUILDER_ID}"\n'
        )
        (folder / "ci").mkdir()
        shutil.copy(ROOT / "ci" / "targets.toml", folder / "ci")

    def run(self, line: str, *more: str, codes: tuple[int, ...] = (0,)) -> str:
        """A command as it stands on the page, with more options where the reader would have to add some."""
        told = line
        for name, value in self.names.items():
            told = told.replace(name, value)
        words = [found for word in shlex.split(told) for found in self._expanded(word)]
        if words[0] != "millcert":
            words = words[1:] if words[0] == "pip" else words[2:]
            tool = pip if line.startswith("pip") else uv
            done = tool(*words, "--target", str(self.folder / f"by-{tool.__name__}-{len(self.ran)}"))
            assert done.returncode == 0, line + done.stderr
        else:
            result = CliRunner().invoke(_millcert, [*words[1:], *more])
            assert result.exit_code in codes, f"{line}\n{result.output}\n{result.exception!r}"
            told = result.output
        self.ran.append(line)
        return told

    def _expanded(self, word: str) -> list[str]:
        return sorted(map(str, Path().glob(word))) if "*" in word else [word]

    def night(self) -> None:
        """What a build and ``millcert sign`` leave in dist/, the lock and its file in the store."""
        stall = Stall(Nightly(self.folder))
        lock = lock_of(stall.nightly.store, make_wheel(self.folder / "third", "anvil", "2.0", content=b"weight = 7\n"))
        (self.folder / "lockfiles" / "runtime").mkdir(parents=True)
        (self.folder / "lockfiles" / "runtime" / "cpu.txt").write_bytes(render_lock(lock.pins))
        stall.wheel(FIRST)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A reader's folder, the current one, with the loopback Sigstore in the place of the public one."""
    root = parse_trusted_root(instance().trusted_root_json(), "loopback")
    monkeypatch.setattr("millcert.attest.trust.public_good", lambda: root)
    monkeypatch.setattr("millcert.install.shipped.public_good", lambda: root)
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "MILLCERT_"))]:
        monkeypatch.delenv(name)
    with memory_folder(tmp_path) as folder:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("MILLCERT_KEY_PASSWORD", PASSWORD)
        monkeypatch.setenv("MILLCERT_STORE", str(folder / "store"))
        monkeypatch.setenv("MILLCERT_STATE", str(folder / "state"))
        monkeypatch.setenv("MILLCERT_SYNC_HEADER", "Authorization: " + SECRET["Authorization"])
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        yield Desk(folder)


def publish(desk: Desk, site: str) -> None:
    """The page on publishing, from the first key to the release of a client."""
    desk.night()
    shipped = desk.folder / "build/src/millcert/data"
    shipped.mkdir(parents=True)
    online = ("--key", "ci-cpu.key", "--key", "online.key")
    trusted = ("--site", "site", "--root", "root.json")
    for line in commands("how-to/publish-a-nightly.md"):
        more: tuple[str, ...] = ()
        if line.startswith("millcert keys create"):
            (desk.folder / "home/keys/alice.key").unlink()
        if line == "millcert keys sign first.json --key ~/keys/alice.key":
            for name, key in (("bob", "bob.key"), ("dora", "home/keys/dora.key")):  # on their own machines
                shutil.copy("first.json", f"{name}.json")
                desk.run(f"millcert keys sign {name}.json --key {key}")
        if "FILE" in line or "quarantined" in line:
            more = (*trusted, *online)
        if line == "millcert index views":
            more = trusted
        desk.run(line, *more)
        if line.startswith("millcert keys sign first.json"):
            desk.run("millcert keys merge first.json bob.json dora.json")
        if line.startswith("millcert keys create"):
            (desk.folder / "alice.pub").write_bytes((desk.folder / "home/keys/alice.key.pub").read_bytes())
        if line.startswith("millcert keys commit first.json"):
            shutil.copy("site/tuf/1.root.json", "root.json")
        if "quarantined" in line:  # it is cleared again, so that the next page can install
            desk.run("millcert index status nightly/cpu wootz active", *trusted, *online)
        if line.startswith("millcert index yank"):
            undo = line.partition(" --reason")[0] + " --undo"
            desk.run(undo, *trusted, *online)


def rotate(desk: Desk) -> None:
    """The page on keys: a publisher's key is replaced."""
    desk.names |= {
        "KEYID": read_key(desk.folder / "ci-cpu.pub").keyid,
        "--name NAME": "--name frank",
        "FILE": "frank.key",
    }
    for line in commands("reference/keys.md"):
        if re.fullmatch(r"millcert keys [a-z]+( [A-Z]+| \[DRAFT\]| DRAFT OTHERS)?", line) or line.endswith("FOLDER"):
            continue  # a name of a command in the table, run above or in tests/millcert/publish
        desk.run(line)


def install(desk: Desk, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page on installing, with a client that ships what the ceremony wrote."""
    python = ("--python", str(new_environment(desk.folder / "env").python))
    servers: list[Any] = []
    for line in commands("how-to/install-a-nightly.md"):
        if line.startswith("millcert serve"):
            import millcert.install.proxy as proxy_module

            with monkeypatch.context() as patch:
                original = proxy_module.serve
                patch.setattr(proxy_module, "serve", lambda *found, real=original: _ready(real(*found), servers))
                desk.run(line, "--port", "0")
            desk.names["127.0.0.1:8471"] = f"127.0.0.1:{servers[0].server_address[1]}"
        else:
            installs = re.match(r"millcert (install|explain|kit (create|verify|install))\b", line)
            desk.run(line, *(python if installs else ()))
    for server in servers:
        server.shutdown()
        server.socket.close()


def _ready(server: Any, servers: list[Any]) -> Any:
    """A server that answers already, and whose command returns at once."""
    serving = server.serve_forever
    threading.Thread(target=serving, args=(0.01,), daemon=True).start()
    server.serve_forever = lambda: None
    server.server_close = lambda: None
    servers.append(server)
    return server


def test_from_the_first_key_to_an_installation_as_the_pages_say(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.folder / "site").mkdir()
    with serve(desk.folder / "site") as (site, _), bucket() as (address, handler):
        desk.names |= {"https://nightly.example": site, "https://bucket.example/site": address}
        wheel = f"wootz-{FIRST}-py3-none-any.whl"
        desk.names |= {
            "wootz FILE": f"wootz {wheel}",
            "--reason TEXT": "--reason broken",
            "nightly/cu129": "nightly/cpu",
        }
        publish(desk, site)
        assert "/site/tuf/timestamp.json" in handler.files
        monkeypatch.setattr("millcert.install.shipped.resources.files", lambda name: desk.folder / "build/src" / name)
        install(desk, site, monkeypatch)
        rotate(desk)
    folders = [folder for folder in desk.folder.glob("by-*") if installed(folder)]
    assert len(folders) == 5, "twice pip and once uv from the index, once each through the proxy"
    assert len(desk.ran) > 30


def test_the_page_on_guarding(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback_index() as upstream, loopback_index() as mirror:
        monkeypatch.setenv("PIP_INDEX_URL", upstream.url)
        desk.names["https://mirror.example/simple/"] = mirror.url
        (desk.folder / "requirements.txt").write_text("numpy==2.0\n")
        for line in commands("how-to/guard-against-confusion.md"):
            desk.run(line.partition(" > ")[0])
    assert len(desk.ran) == 7
    assert len(list((desk.folder / "dist").iterdir())) == 2

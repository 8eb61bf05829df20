"""The commands from the first key to a verified install, with real bundles from the loopback Sigstore."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from tests.support.nightly import build_wheel, client, installed, lock_of, make_wheel, pip, serve
from tests.support.sigstore import Instance, Server, draft_bundle, shared_server, workflow_claims
from tests.support.sigstore.scene import BUILD_TYPE, BUILDER_ID, COMMIT, IDENTITY, definition

from millcert.attest import Subject, provenance
from millcert.cli import keys as keys_module
from millcert.cli import publish as publish_module
from millcert.errors import MillcertError, UsageError, VerificationError
from millcert.keys import create_key, write_key
from millcert.lock import render_lock
from millcert.model import digest_of_file
from millcert.publish.artifact import Builder
from millcert.publish.provenance import provenance_object
from millcert.store import Store

PASSWORD = "correct horse"
TARGETS = Path(__file__).parents[3] / "ci" / "targets.toml"


@pytest.fixture(scope="module")
def server() -> Server:
    """The loopback Sigstore."""
    return shared_server()


class Desk:
    """A maintainer's folder, and the command line in it."""

    def __init__(self, folder: Path, instance: Instance) -> None:
        self.folder, self.instance = folder, instance
        self.main = click.Group(commands=[*keys_module.commands, *publish_module.commands])
        for name in ("a", "b", "c", "core", "online", "cpu"):
            document = create_key(name, PASSWORD, cost=1 << 10)
            write_key(document, folder / f"{name}.key")
            write_key(document.card, folder / f"{name}.pub")
        (folder / "root.sigstore.json").write_bytes(instance.trusted_root_json())
        (folder / "policy.toml").write_text(
            f'[[builder]]\nname = "nightly"\nidentity = "{IDENTITY}"\nissuer = "{instance.issuer.url}"\n'
            f'build-type = "{BUILD_TYPE}"\nbuilder-id = "{BUILDER_ID}"\nsame-commit = true\n'
        )
        (folder / "project/ci").mkdir(parents=True)
        (folder / "project/ci/targets.toml").write_bytes(TARGETS.read_bytes())

    def run(self, *words: str) -> Result:
        """Run a command; ``@name`` is a file of the folder. Errors are raised."""
        arguments = [str(self.folder / word[1:]) if word.startswith("@") else word for word in words]
        result = CliRunner().invoke(self.main, arguments, env={"MILLCERT_KEY_PASSWORD": PASSWORD})
        if isinstance(result.exception, MillcertError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    def start(self) -> None:
        """An index with nightly/cpu."""
        site = ("--site", "@site", "--root", "@site/tuf/1.root.json")
        cards = [word for name in "abc" for word in ("--root-key", f"@{name}.pub")]
        online = ("--snapshot-key", "@online.pub", "--timestamp-key", "@online.pub")
        self.run(
            "keys", "init", *cards, "--targets-key", "@core.pub", "--targets-threshold", "1", *online,
            "--draft", "@d.json",
        )  # fmt: skip
        self.run("keys", "sign", "@d.json", "--key", "@a.key", "--key", "@b.key", "--key", "@core.key")
        self.run("keys", "commit", "@d.json", "--site", "@site", "--key", "@online.key")
        self.run(
            "keys", "delegate", "nightly/cpu", "--maintainer-key", "@core.pub", "--publisher-key", "@cpu.pub",
            "--bin-bits", "1", *site, "--draft", "@e.json",
        )  # fmt: skip
        self.run("keys", "sign", "@e.json", "--key", "@core.key", "--key", "@cpu.key")
        self.run("keys", "commit", "@e.json", *site, "--key", "@online.key")
        (self.folder / "root.json").write_bytes((self.folder / "site/tuf/1.root.json").read_bytes())

    def night(self, **how: object) -> Path:
        """A wheel that requires a locked one, and its bundle by the honest builder unless told otherwise."""
        wheel = build_wheel(self.folder / "dist", requires=["anvil"])
        store = Store(self.folder / "store")
        lock = lock_of(store, make_wheel(self.folder / "third", "anvil", "2.0"))
        (self.folder / "lock.txt").write_bytes(render_lock(lock.pins))
        statement = provenance([Subject(wheel.name, digest_of_file(wheel))], definition())
        wheel.with_name(f"{wheel.name}.provenance.json").write_bytes(statement)
        bundle = draft_bundle(self.instance, statement, workflow_claims(**how))  # type: ignore[arg-type]  # claims
        wheel.with_name(f"{wheel.name}.sigstore.json").write_bytes(bundle.to_bytes())
        return wheel

    def publish(self, wheel: Path, *keys: str) -> Result:
        return self.run(
            "publish", str(wheel), "--index", "nightly/cpu", "--site", "@site", "--root", "@root.json",
            "--lock", "@lock.txt", "--policy", "@policy.toml", "--trusted-root", "@root.sigstore.json",
            "--project", "@project", "--store", "@store", "--key", "@online.key", *(keys or ("--key", "@cpu.key")),
            "--json",
        )  # fmt: skip


@pytest.fixture
def desk(quick_path: Path, server: Server) -> Desk:
    """A started index, run by commands alone."""
    desk = Desk(quick_path, server.instance)
    desk.start()
    return desk


def test_from_the_first_key_to_an_install(desk: Desk, tmp_path: Path) -> None:
    outcome = json.loads(desk.publish(desk.night()).stdout)
    assert outcome["timestamp"] == 3
    with serve(desk.folder / "site") as (address, _):
        page = client(address, tmp_path / "cache", (desk.folder / "root.json").read_bytes())
        done = pip(
            "install", "--pre", "--no-cache-dir", "--target", str(tmp_path / "to"),
            "--index-url", f"{address}/nightly/cpu/", "wootz",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "to") == {"wootz-0.1.0.dev20261123+cpu", "anvil-2.0"}
    builders = page["files"][0]["_millcert"]["builders"]
    assert builders == [{"issuer": desk.instance.issuer.url, "subject": IDENTITY}]
    assert page["files"][0]["provenance"].endswith(".pep740")


def test_a_wheel_signed_by_another_workflow_is_not_published(desk: Desk) -> None:
    before = (desk.folder / "site/tuf/timestamp.json").read_bytes()
    with pytest.raises(VerificationError):
        desk.publish(desk.night(workflow="evil.yml"))
    assert (desk.folder / "site/tuf/timestamp.json").read_bytes() == before
    assert not (desk.folder / "site/files").exists()


def test_later_changes_by_command(desk: Desk, tmp_path: Path) -> None:
    wheel = desk.night()
    desk.publish(wheel)
    common = ("--site", "@site", "--root", "@root.json", "--key", "@cpu.key", "--key", "@online.key", "--json")
    desk.run("index", "yank", "nightly/cpu", "wootz", wheel.name, "--reason", "broken", *common)
    view = desk.folder / "site/nightly/cpu/wootz/index.json"
    assert json.loads(view.read_bytes())["files"][0]["yanked"] == "broken"
    with pytest.raises(UsageError, match="reason"):
        desk.run("index", "yank", "nightly/cpu", "wootz", wheel.name, *common)
    desk.run("index", "status", "nightly/cpu", "wootz", "deprecated", "--reason", "use another", *common)
    assert json.loads(view.read_bytes())["project-status"]["status"] == "deprecated"
    before = json.loads((desk.folder / "site/tuf/timestamp.json").read_bytes())["signed"]["version"]
    assert json.loads(desk.run("index", "refresh", *common).stdout)["timestamp"] == before + 1
    good = view.read_bytes()
    view.write_bytes(b"damaged")
    desk.run("index", "views", "--site", "@site", "--root", "@root.json")
    assert view.read_bytes() == good


def test_a_night_that_waits_for_its_publisher(desk: Desk) -> None:
    """The machine that builds has no publisher's key; whoever has it signs the draft, and it is put into force."""
    waiting = json.loads(desk.publish(desk.night(), "--drafts", "@drafts").stdout)
    assert waiting["draft"]
    assert waiting["timestamp"] == 2, "nothing is in force yet"
    desk.run("keys", "sign", waiting["draft"], "--key", "@cpu.key")
    desk.run("keys", "commit", waiting["draft"], "--site", "@site", "--root", "@root.json", "--key", "@online.key")
    view = desk.folder / "site/nightly/cpu/wootz/index.json"
    assert json.loads(view.read_bytes())["versions"] == ["0.1.0.dev20261123+cpu"]


def test_a_stolen_key_is_revoked_by_command(desk: Desk, tmp_path: Path) -> None:
    desk.publish(desk.night())
    site = ("--site", "@site", "--root", "@root.json")
    stolen = json.loads((desk.folder / "cpu.key").read_bytes())["keyid"]
    with pytest.raises(MillcertError, match="threshold"):
        desk.run("keys", "revoke", stolen[:16], *site, "--draft", "@r.json")
    desk.run("keys", "create", "--name", "new", "--out", "@new.key")
    words = ("--add", "@new.key.pub", "--remove", stolen[:16])
    desk.run("keys", "rotate", "nightly-cpu-pages", *words, *site, "--draft", "@r.json")
    desk.run("keys", "sign", "@r.json", "--key", "@core.key", "--key", "@new.key")
    assert "new" in desk.run("keys", "show", "@r.json").output
    desk.run("keys", "commit", "@r.json", *site, "--key", "@online.key")
    rows = {row["role"]: row for row in json.loads(desk.run("keys", "show", *site, "--json").stdout)}
    assert stolen not in rows["nightly-cpu-pages"]["keyids"]
    assert "nothing expires" in desk.run("keys", "expire", *site, "--draft", "@x.json", "--within", "1").output
    with serve(desk.folder / "site") as (address, _):
        assert client(address, tmp_path / "cache", (desk.folder / "root.json").read_bytes())["versions"]


def test_passwords_come_from_a_descriptor_or_the_environment_never_from_words(desk: Desk) -> None:
    read, write = os.pipe()
    os.write(write, b"correct horse\ncorrect horse\n")
    os.close(write)
    words = ["keys", "sign", str(desk.folder / "d.json"), "--key", str(desk.folder / "a.key")]
    words += ["--password-fd", str(read)]
    assert CliRunner().invoke(desk.main, words).exit_code == 0
    os.close(read)
    unasked = CliRunner().invoke(desk.main, words[:-2])
    assert isinstance(unasked.exception, UsageError)
    parameters = [one for command in keys_module.keys_group.commands.values() for one in command.params]
    options = {option for parameter in parameters for option in parameter.opts}
    assert not {option for option in options if "password" in option} - {"--password-fd"}


def test_provenance_objects_are_what_another_implementation_reads(server: Server) -> None:
    pypi_attestations = pytest.importorskip("pypi_attestations", reason="pypi-attestations is not installed")
    statement = provenance([Subject("wootz-1-py3-none-any.whl", "a" * 64)], definition())  # type: ignore[arg-type]
    github = Builder("https://token.actions.githubusercontent.com", IDENTITY)
    bundle = draft_bundle(server.instance, statement, workflow_claims()).to_bytes()
    data = provenance_object({"one.sigstore.json": bundle}, {"one.sigstore.json": github})
    assert data is not None
    read = pypi_attestations.Provenance.model_validate_json(data)
    (held,) = read.attestation_bundles
    assert (held.publisher.kind, held.publisher.repository, held.publisher.workflow) == (
        "GitHub", "example/wootz", "nightly.yml",
    )  # fmt: skip
    assert held.attestations[0].envelope.statement == statement
    second = draft_bundle(server.instance, statement, workflow_claims(), rekor=2).to_bytes()
    assert provenance_object({"x": second}, {"x": github}) is None, "PEP 740 cannot hold the time-stamp it rests on"
    assert COMMIT.encode() in statement

"""``millcert sign`` and ``millcert verify`` as a user meets them: arguments in, tables, JSON and exit codes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.sigstore import Server, email_claims, workflow_claims
from tests.support.sigstore.scene import BUILD_TYPE, BUILDER_ID, COMMIT, IDENTITY, WHEEL, Scene

from millcert.cli import main


@pytest.fixture
def config(tmp_path: Path, server: Server) -> Path:
    """The trust configuration of the test instance."""
    path = tmp_path / "trust_config.json"
    path.write_bytes(server.instance.trust_config_json(rekor=2))
    return path


@pytest.fixture
def policy(tmp_path: Path, server: Server) -> Path:
    """A policy of one builder."""
    path = tmp_path / "policy.toml"
    path.write_text(
        f'[[builder]]\nname = "nightly"\nidentity = "{IDENTITY}"\nissuer = "{server.instance.issuer.url}"\n'
        f'build-type = "{BUILD_TYPE}"\nbuilder-id = "{BUILDER_ID}"\nsame-commit = true\n'
        f'[builder.certificate]\nsource-repository-digest = "{COMMIT}"\n'
    )
    return path


def _run(*arguments: object) -> int:
    """The exit code of the command, run in this process."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
        raise SystemExit(0)
    return int(exit_.value.code or 0)


def _sign(scene: Scene, server: Server, config: Path, *extra: object) -> int:
    token = server.instance.issuer.token(workflow_claims())
    return _run("sign", scene.wheel, "--trust-config", config, "--identity-token", token, *extra)


def test_sign_then_verify(
    scene: Scene, server: Server, config: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _sign(scene, server, config) == 0
    assert IDENTITY in capsys.readouterr().out
    assert _run("verify", scene.wheel, "--trust-config", config, "--policy", policy, "--evidence") == 0
    shown = capsys.readouterr().out
    assert "verified" in shown
    assert scene.subject.digest in shown
    assert " 10 provenance: " in shown
    assert " 11 quorum: 1 of 1" in shown


def test_json_is_one_document_and_nothing_else(
    scene: Scene, server: Server, config: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _sign(scene, server, config, "--json") == 0
    (signed,) = json.loads(capsys.readouterr().out)["signed"]
    assert (signed["outcome"], signed["sha256"]) == ("signed", scene.subject.digest)
    assert _run("verify", scene.wheel, "--trusted-root", scene.root_path, "--policy", policy, "--json") == 0
    (verdict,) = json.loads(capsys.readouterr().out)["verdicts"]
    assert verdict["verified"]
    assert verdict["attestations"][0]["builder"] == "nightly"


def test_a_refusal_says_which_check_and_why(
    scene: Scene, server: Server, config: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _sign(scene, server, config) == 0
    scene.wheel.write_bytes(b"altered")
    capsys.readouterr()
    assert _run("verify", scene.wheel, "--trust-config", config, "--policy", policy) == 14
    output = capsys.readouterr()
    assert "refused" in output.out
    assert "other bytes" in output.err
    assert scene.subject.digest in output.err
    assert _run("verify", scene.wheel, "--trust-config", config, "--policy", policy, "--json") == 14
    (verdict,) = json.loads(capsys.readouterr().out)["verdicts"]
    assert verdict["error"]["error"] == "SubjectMismatchError"


def test_two_builders_by_identity(
    scene: Scene, server: Server, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _sign(scene, server, config) == 0
    who = ["--identity", IDENTITY, "--identity", "b@example.org", "--issuer", server.instance.issuer.url]
    assert _run("verify", scene.wheel, "--trust-config", config, *who) == 0
    assert _run("verify", scene.wheel, "--trust-config", config, *who, "--builders", 2) == 14
    assert "too few distinct builders" in capsys.readouterr().err
    token = server.instance.issuer.token(email_claims("b@example.org"))
    again = ["--trust-config", config, "--identity-token", token, "--builder", "second"]
    assert _run("sign", scene.wheel, *again) == 0
    assert _run("verify", scene.wheel, "--trust-config", config, *who, "--builders", 2) == 0


def test_a_bundle_may_lie_elsewhere(scene: Scene, server: Server, config: Path, policy: Path, tmp_path: Path) -> None:
    assert _sign(scene, server, config) == 0
    bundle = scene.wheel.with_name(f"{WHEEL}.sigstore.json").rename(tmp_path / "kept.json")
    common = ["verify", scene.wheel, "--trust-config", config, "--policy", policy]
    assert _run(*common) == 14
    assert _run(*common, "--bundle", bundle) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--identity", "a@example.org"],
        ["--issuer", "https://issuer.example"],
        ["--policy", "POLICY", "--identity", "a@example.org", "--issuer", "https://issuer.example"],
        ["--policy", "POLICY", "--trusted-root", "ROOT", "--trust-config", "CONFIG"],
        ["--policy", "POLICY", "--bundle", "ROOT", "WHEEL"],
    ],
)
def test_wrong_usage_is_told_apart(scene: Scene, config: Path, policy: Path, arguments: list[str]) -> None:
    places = {"POLICY": policy, "ROOT": scene.root_path, "CONFIG": config, "WHEEL": scene.wheel}
    assert _run("verify", scene.wheel, *(places.get(argument, argument) for argument in arguments)) == 2


def test_a_policy_that_cannot_be_met_is_a_configuration_error(scene: Scene, config: Path, policy: Path) -> None:
    common = ["verify", scene.wheel, "--trust-config", config, "--policy"]
    assert _run(*common, policy, "--builders", 2) == 3
    assert _run(*common, policy.with_name("absent.toml")) == 3


def test_dirty_wheels_are_refused_before_anything_is_signed(tmp_path: Path, server: Server, config: Path) -> None:
    clean = Scene(tmp_path, server.instance)
    dirty = Scene(tmp_path, server.instance, name=WHEEL.replace("+cpu", "+cpu.dirty"))
    token = server.instance.issuer.token(workflow_claims())
    files = [clean.wheel, dirty.wheel]
    assert _run("sign", *files, "--trust-config", config, "--identity-token", token) == 17
    assert not list(tmp_path.glob("*.sigstore.json"))


def test_help_does_not_import_sigstore() -> None:
    code = (
        "import sys, contextlib, io\nfrom millcert.cli import main\n"
        "for arguments in (['--help'], ['verify', '--help'], ['sign', '--help']):\n"
        "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "        main(arguments)\n"
        "assert not {'sigstore', 'cryptography', 'tuf', 'requests', 'pydantic'} & set(sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)

"""Signing: through sigstore-python and the loopback services, whole or not at all, and twice is once."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.sigstore import Server, email_claims, workflow_claims
from tests.support.sigstore.scene import IDENTITY, WHEEL, Scene

from millcert.attest.errors import SigningError, StatementError
from millcert.attest.policy import BuilderRule, Policy
from millcert.attest.sign import SignStatement, bundle_path, prepare, session, sign


@contextlib.contextmanager
def _no_session() -> Iterator[SignStatement]:
    raise AssertionError("nothing had to be signed")
    yield


def _sign(scene: Scene, server: Server, *, rekor: int = 1, token: str | None = None, force: bool = False) -> str:
    token = token or server.instance.issuer.token(workflow_claims())
    config = server.instance.trust_config_json(rekor=rekor)
    (signed,) = sign([prepare(scene.wheel)], scene.root, lambda: session(config, token=token), force=force)
    return signed.outcome


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_signed_wheel_verifies(scene: Scene, server: Server, rekor: int) -> None:
    assert _sign(scene, server, rekor=rekor) == "signed"
    verdict = scene.verify()
    assert [one.claimed.claims.identity for one in verdict.attestations] == [IDENTITY]
    assert verdict.attestations[0].claimed.payload == scene.statement
    assert len(verdict.attestations[0].steps) == 10


def test_a_second_run_signs_nothing_and_asks_nobody(scene: Scene, server: Server) -> None:
    _sign(scene, server)
    before = bundle_path(scene.wheel).read_bytes()
    (again,) = sign([prepare(scene.wheel)], scene.root, _no_session)
    assert (again.outcome, again.identity) == ("already signed", IDENTITY)
    assert bundle_path(scene.wheel).read_bytes() == before
    assert _sign(scene, server, force=True) == "signed anew"
    assert bundle_path(scene.wheel).read_bytes() != before


@pytest.mark.parametrize("leftover", [b"", b"{", b'{"mediaType": "x"}'])
def test_a_useless_bundle_is_replaced(scene: Scene, server: Server, leftover: bytes) -> None:
    scene.place(leftover)
    assert _sign(scene, server) == "signed anew"
    scene.verify()


def test_a_bundle_of_an_older_build_is_replaced(scene: Scene, server: Server) -> None:
    _sign(scene, server)
    scene.statement = scene.state(invocation_id="e" * 64)
    assert _sign(scene, server) == "signed anew"
    assert scene.verify().attestations[0].build.invocation_id == "e" * 64


def test_a_further_builder_signs_into_a_bundle_of_its_own(scene: Scene, server: Server) -> None:
    _sign(scene, server)
    token = server.instance.issuer.token(email_claims("rebuilder@example.org"))
    config = server.instance.trust_config_json()
    request = prepare(scene.wheel, builder="rebuilder")
    (signed,) = sign([request], scene.root, lambda: session(config, token=token))
    assert signed.bundle.name == f"{WHEEL}.rebuilder.sigstore.json"
    other = BuilderRule(issuer=server.instance.issuer.url, identity="rebuilder@example.org")
    assert scene.verify(Policy((*scene.policy.rules, other), builders=2)).builders == 2


@pytest.mark.parametrize("label", ["../x", "a/b", "a.b", "-", "é"])
def test_a_builders_label_cannot_name_another_file(scene: Scene, label: str) -> None:
    with pytest.raises(SigningError):
        prepare(scene.wheel, builder=label)


def test_the_identity_of_a_ci_job_is_found(scene: Scene, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = server.instance.issuer
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", issuer.ambient_bearer)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{issuer.url}/ambient?api-version=2")
    config = server.instance.trust_config_json()
    (signed,) = sign([prepare(scene.wheel)], scene.root, lambda: session(config))
    assert signed.identity == IDENTITY


def test_a_person_logs_in_through_a_browser(
    scene: Scene, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    browser = tmp_path / "browser"
    fetch = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1]).read()"
    browser.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{fetch}' \"$1\"\n")
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    _no_ambient_identity(monkeypatch)
    monkeypatch.setenv("BROWSER", f"{browser} %s &")
    import webbrowser

    monkeypatch.setattr(webbrowser, "_tryorder", None)
    config = server.instance.trust_config_json()
    (signed,) = sign([prepare(scene.wheel)], scene.root, lambda: session(config, interactive=True))
    assert signed.identity == "tester@example.org"


def _no_ambient_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [
        name for name in os.environ if name.startswith(("GITHUB_", "ACTIONS_", "GITLAB", "CIRCLE", "BUILDKITE"))
    ]:
        monkeypatch.delenv(name)


def test_without_any_identity_nothing_is_signed(scene: Scene, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _no_ambient_identity(monkeypatch)
    config = server.instance.trust_config_json()
    with pytest.raises(SigningError, match="nobody to sign as"):
        list(sign([prepare(scene.wheel)], scene.root, lambda: session(config)))
    assert _files(scene) == {WHEEL, f"{WHEEL}.provenance.json", "trusted_root.json"}


def _files(scene: Scene) -> set[str]:
    return {path.name for path in scene.wheel.parent.iterdir()}


@pytest.mark.parametrize(
    "token",
    ["not a token", pytest.param("expired", id="expired"), pytest.param("stranger", id="another issuer")],
)
def test_a_bad_token_signs_nothing(scene: Scene, server: Server, token: str) -> None:
    issuer = server.instance.issuer
    made = {
        "expired": lambda: issuer.token(workflow_claims(), lifetime=-60),
        "stranger": lambda: issuer.token({**workflow_claims(), "iss": "https://stranger.example"}),
    }
    with pytest.raises(SigningError) as refusal:
        _sign(scene, server, token=made[token]() if token in made else token)
    assert "continues" in refusal.value.fix
    assert _files(scene) == {WHEEL, f"{WHEEL}.provenance.json", "trusted_root.json"}


def test_a_service_that_is_down_signs_nothing(scene: Scene) -> None:
    with Server() as gone:
        config, token = gone.instance.trust_config_json(), gone.instance.issuer.token(workflow_claims())
    with pytest.raises(SigningError):
        list(sign([prepare(scene.wheel)], scene.root, lambda: session(config, token=token)))
    assert not bundle_path(scene.wheel).exists()


def test_a_bundle_that_would_not_verify_is_not_written(scene: Scene, server: Server, tmp_path: Path) -> None:
    with Server() as other:
        config, token = other.instance.trust_config_json(), other.instance.issuer.token(workflow_claims())
        with pytest.raises(SigningError, match="would not verify"):
            list(sign([prepare(scene.wheel)], scene.root, lambda: session(config, token=token)))
    assert not bundle_path(scene.wheel).exists()


@pytest.mark.parametrize("moment", ["signing", "writing"])
def test_an_interrupt_leaves_what_was_done_and_nothing_half_done(
    tmp_path: Path, server: Server, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [WHEEL, WHEEL.replace("cpu", "cu129"), WHEEL.replace("cpu", "cu130")]
    scenes = [Scene(tmp_path, server.instance, name=name) for name in names]
    requests = [prepare(scene.wheel) for scene in scenes]
    calls = 0

    @contextlib.contextmanager
    def open_session() -> Iterator[SignStatement]:
        token = server.instance.issuer.token(workflow_claims())
        with session(server.instance.trust_config_json(), token=token) as real:

            def interrupted(statement: bytes) -> bytes:
                nonlocal calls
                calls += 1
                if calls == 2 and moment == "signing":
                    raise KeyboardInterrupt
                if calls == 2:
                    monkeypatch.setattr(os, "fsync", _interrupt)
                return real(statement)

            yield interrupted

    with pytest.raises(KeyboardInterrupt):
        list(sign(requests, scenes[0].root, open_session))
    bundles = {name for name in _files(scenes[0]) if "sigstore" in name}
    assert bundles == {f"{names[0]}.sigstore.json"}
    monkeypatch.undo()
    token = server.instance.issuer.token(workflow_claims())
    config = server.instance.trust_config_json()
    outcomes = [one.outcome for one in sign(requests, scenes[0].root, lambda: session(config, token=token))]
    assert outcomes == ["already signed", "signed", "signed"]


def _interrupt(_: int) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("version", ["0.1.0+dirty", "0.1.0.dev1+cpu.dirty", "0.1.0+cpu.dirty.3"])
def test_a_wheel_of_a_dirty_tree_is_refused_by_its_name(tmp_path: Path, server: Server, version: str) -> None:
    scene = Scene(tmp_path, server.instance, name=f"wootz-{version}-cp311-abi3-manylinux_2_17_x86_64.whl")
    with pytest.raises(SigningError, match="uncommitted"):
        prepare(scene.wheel)


def test_a_wheel_of_a_dirty_tree_is_refused_by_its_statement(scene: Scene) -> None:
    scene.state(external_parameters={"dirty": True})
    with pytest.raises(SigningError, match="uncommitted"):
        prepare(scene.wheel)


def test_a_wheel_changed_after_the_build_is_refused(scene: Scene) -> None:
    scene.wheel.write_bytes(scene.wheel.read_bytes() + b"\0")
    with pytest.raises(SigningError, match="exactly this file") as refusal:
        prepare(scene.wheel)
    assert scene.subject.digest in refusal.value.evidence["statement_says"]


def test_nothing_is_signed_for_a_file_that_was_not_seen(scene: Scene) -> None:
    path = scene.wheel.with_name(f"{WHEEL}.provenance.json")
    document = json.loads(path.read_bytes())
    document["subject"].append({"name": "other.whl", "digest": {"sha256": "0" * 64}})
    path.write_text(json.dumps(document))
    with pytest.raises(SigningError, match="exactly this file"):
        prepare(scene.wheel)


def test_a_statement_that_is_missing_or_malformed_is_refused(scene: Scene) -> None:
    path = scene.wheel.with_name(f"{WHEEL}.provenance.json")
    path.write_bytes(b'{"_type":1,"_type":2}')
    with pytest.raises(StatementError, match="strict"):
        prepare(scene.wheel)
    path.unlink()
    with pytest.raises(SigningError, match="cannot be read") as refusal:
        prepare(scene.wheel)
    assert refusal.value.evidence["file"] == str(path)


def test_a_wheel_has_a_wheels_name(scene: Scene) -> None:
    with pytest.raises(SigningError, match="not the name of a wheel"):
        prepare(scene.wheel.with_name("wootz.whl"))


def test_other_files_are_signed_by_their_statement(tmp_path: Path, server: Server) -> None:
    scene = Scene(tmp_path, server.instance, name="wootz-image-manifest.json")
    assert _sign(scene, server, rekor=2) == "signed"
    assert scene.verify().builders == 1
    scene.state(external_parameters={"dirty": True})
    with pytest.raises(SigningError, match="uncommitted"):
        prepare(scene.wheel)

"""Verifying: what is accepted, what the evidence says, and that another client agrees."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.sigstore import Server, email_claims
from tests.support.sigstore.scene import BUILDER_ID, COMMIT, IDENTITY, WHEEL, Scene, rule

from millcert.attest.bundle import BundleFinder
from millcert.attest.errors import BundleError, IdentityRefusedError, QuorumError
from millcert.attest.policy import BuilderRule, Policy
from millcert.attest.verify import Verifier
from millcert.errors import VerificationError


@pytest.mark.parametrize("rekor", [1, 2])
def test_an_honest_bundle_is_accepted_and_its_evidence_is_complete(scene: Scene, rekor: int) -> None:
    scene.place(scene.draft(rekor=rekor))
    verdict = scene.verify()
    document = json.loads(json.dumps(verdict.as_dict()))
    assert document["verified"] is True
    assert document["sha256"] == scene.subject.digest
    (attestation,) = document["attestations"]
    assert attestation["identity"] == IDENTITY
    assert attestation["builder_id"] == BUILDER_ID
    assert attestation["certificate"]["source-repository-digest"] == COMMIT
    assert [step["step"] for step in attestation["steps"]] == list(range(1, 11))
    assert len(attestation["times"]) == (2 if rekor == 1 else 1)


def test_a_log_promise_alone_is_time_enough(scene: Scene) -> None:
    scene.place(scene.draft(stamped=False))
    assert len(scene.verify().attestations[0].claimed.times) == 1


def _sigstore(scene: Scene, server: Server, tmp_path: Path, *extra: str) -> int:
    """The exit status of the reference client's command on the wheel and the bundle beside it."""
    config = tmp_path / "trust_config.json"
    config.write_bytes(server.instance.trust_config_json())
    command = [sys.executable, "-m", "sigstore", "--trust-config", str(config), "verify", "identity", "--offline"]
    options = {"--cert-identity": IDENTITY, "--cert-oidc-issuer": server.instance.issuer.url}
    options |= dict(zip(extra[::2], extra[1::2], strict=True))
    arguments = [part for pair in options.items() for part in pair]
    return subprocess.run([*command, *arguments, str(scene.wheel)], capture_output=True, check=False).returncode


@pytest.mark.parametrize("rekor", [1, 2])
def test_the_reference_client_agrees(scene: Scene, server: Server, tmp_path: Path, rekor: int) -> None:
    scene.place(scene.draft(rekor=rekor))
    assert scene.verify().builders == 1
    assert _sigstore(scene, server, tmp_path) == 0
    if rekor == 2:
        return
    assert _sigstore(scene, server, tmp_path, "--cert-identity", "somebody@example.org") == 1
    scene.wheel.write_bytes(scene.wheel.read_bytes()[:-1] + b"?")
    assert _sigstore(scene, server, tmp_path) == 1
    with pytest.raises(VerificationError):
        scene.verify()


def test_many_files_get_a_verdict_each(tmp_path: Path, server: Server) -> None:
    names = [WHEEL.replace("cpu", f"cu{number}") for number in range(5)]
    scenes = [Scene(tmp_path, server.instance, name=name) for name in names]
    for scene in scenes:
        scene.place(scene.draft(rekor=2))
    scenes[3].wheel.write_bytes(b"altered")
    scenes[4].wheel.unlink()
    verdicts = list(Verifier(scenes[0].root, scenes[0].policy).verdicts([scene.wheel for scene in scenes]))
    assert [verdict.error is None for verdict in verdicts] == [True, True, True, False, False]
    assert [verdict.path.name for verdict in verdicts] == names
    assert verdicts[4].as_dict()["error"]["message"] == "the file cannot be read"


def test_bundles_beside_a_file_are_its_own(tmp_path: Path) -> None:
    ours = ["a.whl.sigstore.json", "a.whl.1.sigstore.json", "a.whl.rebuilder.sigstore.json"]
    others = ["a.whl.x.y.sigstore.json", "b.whl.sigstore.json", "a.whl.sigstore.json.bak", "a.whl2.sigstore.json"]
    for name in [*ours, *others, "a.whl", "a.whl..sigstore.json"]:
        (tmp_path / name).touch()
    finder = BundleFinder()
    assert [path.name for path in finder.beside(tmp_path / "a.whl")] == ours
    assert [path.name for path in finder.beside(tmp_path / "b.whl")] == ["b.whl.sigstore.json"]
    assert finder.beside(tmp_path / "c.whl") == []


def test_a_file_without_a_bundle_is_refused(scene: Scene) -> None:
    with pytest.raises(BundleError, match="no bundle") as refusal:
        scene.verify()
    assert refusal.value.exit_code == 14
    assert refusal.value.fix


def _two_builders(scene: Scene) -> Policy:
    rebuilder = BuilderRule(issuer=scene.instance.issuer.url, identity="rebuilder@example.org", name="rebuilder")
    return Policy((rule(scene.instance), rebuilder), builders=2)


def test_two_builders_who_agree_make_a_quorum(scene: Scene) -> None:
    scene.place(scene.draft())
    scene.place(scene.draft(email_claims("rebuilder@example.org"), rekor=2), "rebuilder")
    verdict = scene.verify(_two_builders(scene))
    assert verdict.builders == 2
    assert {one.builder for one in verdict.attestations} == {"nightly", "rebuilder"}


def test_one_builder_is_not_two(scene: Scene) -> None:
    scene.place(scene.draft())
    with pytest.raises(QuorumError) as refusal:
        scene.verify(_two_builders(scene))
    assert refusal.value.evidence["agreeing"] == "1"


def test_a_strangers_bundle_is_not_counted_and_does_no_harm(scene: Scene) -> None:
    scene.place(scene.draft())
    scene.place(scene.draft(email_claims("stranger@example.org")), "stranger")
    verdict = scene.verify()
    assert verdict.builders == 1
    assert [source for source, _ in verdict.not_counted] == [f"{WHEEL}.stranger.sigstore.json"]


def test_a_stranger_alone_is_refused_by_name(scene: Scene) -> None:
    scene.place(scene.draft(email_claims("stranger@example.org")))
    with pytest.raises(IdentityRefusedError, match=r"stranger@example\.org"):
        scene.verify()


def _binary_parts(bundle: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Where a bundle holds bytes in base64: each an object and its key."""
    material = bundle["verificationMaterial"]
    (entry,) = material["tlogEntries"]
    parts = [(stamp, "signedTimestamp") for stamp in material["timestampVerificationData"]["rfc3161Timestamps"]]
    parts += [(material["certificate"], "rawBytes"), (entry, "canonicalizedBody"), (entry["logId"], "keyId")]
    return [*parts, (bundle["dsseEnvelope"], "payload"), (bundle["dsseEnvelope"]["signatures"][0], "sig")]


class _Honest:
    """What all examples of a test share: bundles that verify, and a verifier with its root."""

    def __init__(self, scene: Scene) -> None:
        self.bundles = {rekor: scene.draft(rekor=rekor).to_bytes() for rekor in (1, 2)}
        self._scene = scene
        self._verifier = Verifier(scene.root, scene.policy)
        for bundle in self.bundles.values():
            self._verifier.attestation(bundle, WHEEL, scene.subject.digest)

    def believes_nothing_else(self, bundle: bytes) -> None:
        """A bundle is refused with a typed error, or says the same as the honest one."""
        try:
            attestation = self._verifier.attestation(bundle, WHEEL, self._scene.subject.digest)
        except VerificationError:
            return
        assert attestation.claimed.payload == self._scene.statement
        assert attestation.claimed.claims.identity == IDENTITY


@pytest.fixture
def honest(scene: Scene) -> _Honest:
    """Made once a test, not once an example."""
    return _Honest(scene)


_FUZZ = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_FUZZ
@given(rekor=st.sampled_from([1, 2]), where=st.integers(0, 1 << 20), byte=st.integers(0, 255))
def test_no_altered_byte_changes_what_is_believed(honest: _Honest, rekor: int, where: int, byte: int) -> None:
    bundle = bytearray(honest.bundles[rekor])
    bundle[where % len(bundle)] = byte
    honest.believes_nothing_else(bytes(bundle))


@_FUZZ
@given(
    rekor=st.sampled_from([1, 2]), part=st.integers(0, 10), where=st.integers(0, 1 << 20),
    cut=st.integers(0, 4), put=st.binary(max_size=4),
)  # fmt: skip
def test_no_altered_bytes_within_a_part_change_what_is_believed(
    honest: _Honest, rekor: int, part: int, where: int, cut: int, put: bytes
) -> None:
    """The parsers of certificates, time-stamps and log entries get bytes that are nearly right."""
    bundle = json.loads(honest.bundles[rekor])
    parts = _binary_parts(bundle)
    holder, key = parts[part % len(parts)]
    raw = bytearray(base64.b64decode(holder[key]))
    start = where % len(raw)
    raw[start : start + cut] = put
    holder[key] = base64.b64encode(raw).decode()
    honest.believes_nothing_else(json.dumps(bundle).encode())

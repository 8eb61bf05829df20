"""Attacks with valid signatures: by the wrong identity, from the wrong build, or by too few builders."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.sigstore import Instance, email_claims, workflow_claims
from tests.support.sigstore.scene import BUILDER_ID, IDENTITY, WHEEL, Scene, rule

from millcert.attest.errors import (
    IdentityRefusedError,
    ProvenanceRefusedError,
    QuorumError,
    StatementError,
    SubjectMismatchError,
)
from millcert.attest.policy import BuilderRule, Policy
from millcert.errors import VerificationError

_INSTANCE = Instance()
_REBUILDER = "rebuilder@example.org"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """An unsigned wheel whose honest bundle is accepted: the control of every attack below."""
    scene = Scene(tmp_path, _INSTANCE)
    scene.place(scene.draft())
    assert scene.verify().builders == 1
    return scene


def _refused(scene: Scene, error: type[VerificationError], match: str | None = None) -> VerificationError:
    with pytest.raises(error, match=match) as refusal:
        scene.verify()
    return refusal.value


# -- who signed


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        (workflow_claims("example/wootz-fork"), "identity"),
        (workflow_claims(workflow="pull-request.yml"), "identity"),
        (workflow_claims(ref="refs/heads/feature"), "identity"),
        (email_claims("maintainer@example.org"), "identity"),
        (workflow_claims(repository_id="6666"), "source-repository-identifier"),
        (workflow_claims(owner_id="6666"), "source-repository-owner-identifier"),
        (workflow_claims(trigger="pull_request_target"), "build-trigger"),
        (workflow_claims(runner="self-hosted"), "runner-environment"),
        ({**workflow_claims(), "ref": "refs/pull/7/merge"}, "source-repository-ref"),
        ({**workflow_claims(), "workflow_sha": "b" * 40}, "build-config-digest"),
        ({key: value for key, value in workflow_claims().items() if key != "runner_environment"}, "is absent"),
    ],
    ids=[
        "repository", "workflow", "branch", "person", "resurrected repository name", "resurrected owner name",
        "trigger", "runner", "ref", "workflow digest", "extension missing",
    ],
)  # fmt: skip
def test_the_signature_is_valid_but_somebody_elses(scene: Scene, claims: dict[str, object], reason: str) -> None:
    scene.place(scene.draft(claims))
    error = _refused(scene, IdentityRefusedError)
    assert reason in str(error)


def test_the_identity_is_right_but_another_issuer_vouched_for_it(scene: Scene) -> None:
    scene.place(scene.draft({**workflow_claims(), "iss": "https://issuer.attacker.example"}))
    assert "issuer.attacker.example" in str(_refused(scene, IdentityRefusedError, "issuer"))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"build_type": "https://attacker.example/type"}, "build type"),
        ({"builder_id": "https://attacker.example/builder"}, "builder id"),
        ({"external_parameters": {"source": {"dirty": True}}}, "uncommitted"),
        ({"dependencies": []}, "commit"),
    ],
    ids=["build type", "builder id", "dirty", "another commit"],
)
def test_the_right_identity_states_the_wrong_build(scene: Scene, changes: dict[str, Any], match: str) -> None:
    scene.place(scene.draft(statement=scene.state(**changes)))
    assert match in str(_refused(scene, ProvenanceRefusedError))


# -- what was signed: every statement below is signed by the right identity


def _changed(scene: Scene, change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(scene.statement)
    change(document)
    return json.dumps(document).encode()


def test_the_statement_names_a_second_hostile_file(scene: Scene) -> None:
    hostile = {"name": "hostile.whl", "digest": {"sha256": "e" * 64}}
    scene.place(scene.draft(statement=_changed(scene, lambda d: d["subject"].append(hostile))))
    _refused(scene, StatementError, "more than one file")


def test_the_statement_names_the_file_twice_with_different_digests(scene: Scene) -> None:
    twin = {"name": WHEEL, "digest": {"sha256": "e" * 64}}
    scene.place(scene.draft(statement=_changed(scene, lambda d: d["subject"].append(twin))))
    _refused(scene, StatementError, "same name")


@pytest.mark.parametrize("path", ['"subject"', '"predicateType"', '"buildType"', '"sha256"'])
def test_a_key_appears_twice_so_that_two_parsers_disagree(scene: Scene, path: str) -> None:
    text = scene.statement.decode()
    doubled = text.replace(path, f'{path}:"hostile",{path}', 1).encode()
    assert json.loads(doubled) == json.loads(text)  # a lenient parser sees nothing wrong
    scene.place(scene.draft(statement=doubled))
    _refused(scene, StatementError, "strict JSON")


def test_the_digest_is_given_in_an_algorithm_nobody_checks(scene: Scene) -> None:
    change = {"sha512": "0" * 128}
    scene.place(scene.draft(statement=_changed(scene, lambda d: d["subject"][0].update(digest=change))))
    _refused(scene, StatementError, "sha256")


@pytest.mark.parametrize("kind", ["https://slsa.dev/provenance/v0.2", "https://in-toto.io/attestation/link/v0.3"])
def test_a_statement_of_another_kind_passes_for_provenance(scene: Scene, kind: str) -> None:
    scene.place(scene.draft(statement=_changed(scene, lambda d: d.update(predicateType=kind))))
    _refused(scene, ProvenanceRefusedError, "not SLSA provenance")


_ESCAPES = "\x1b[2J\x1b]0;owned\x07\r\N{RIGHT-TO-LEFT OVERRIDE}"
_RAW = set("\x1b\x07\r\N{RIGHT-TO-LEFT OVERRIDE}")


def test_no_text_of_a_strangers_reaches_the_terminal_raw(scene: Scene) -> None:
    """Escape sequences in an identity, an issuer, a build type: shown, if at all, as what they are."""
    workflow = {**workflow_claims(), "ref": _ESCAPES, "iss": f"https://{_ESCAPES}"}
    scene.place(scene.draft(workflow))
    assert not _RAW & set(str(_refused(scene, IdentityRefusedError)))
    scene.place(scene.draft(statement=scene.state(build_type=_ESCAPES, builder_id=_ESCAPES)))
    refusal = str(_refused(scene, ProvenanceRefusedError))
    assert not _RAW & set(refusal)
    scene.policy = Policy((rule(_INSTANCE, build_type="", builder_id=""),))
    steps = " ".join(found for _, found in scene.verify().attestations[0].steps)
    assert not _RAW & set(steps)


# -- how many signed


@pytest.fixture
def quorum(scene: Scene) -> Scene:
    """The same wheel under a policy of two builders who must agree, and do: the control."""
    rebuilder = BuilderRule(issuer=_INSTANCE.issuer.url, identity=_REBUILDER, name="rebuilder", builder_id=BUILDER_ID)
    scene.policy = Policy((rule(_INSTANCE), rebuilder), builders=2)
    scene.place(scene.draft(email_claims(_REBUILDER)), "rebuilder")
    assert scene.verify().builders == 2
    return scene


def test_one_builder_of_two_is_dishonest(quorum: Scene) -> None:
    """The first builder ships other bytes under a valid signature of its own; the second got the honest ones."""
    honest = quorum.place(quorum.draft(email_claims(_REBUILDER)), "rebuilder")
    honest_bytes = honest.read_bytes()
    honest.unlink()
    quorum.build(b"poisoned by the first builder")
    quorum.place(quorum.draft())
    assert quorum.verify(replace(quorum.policy, builders=1)).builders == 1, "alone, the dishonest builder is believed"
    _refused(quorum, QuorumError)
    quorum.place(honest_bytes, "rebuilder")
    error = _refused(quorum, SubjectMismatchError, "other bytes")
    assert error.evidence["builder"] == _REBUILDER


def test_the_same_builder_signs_twice(quorum: Scene) -> None:
    quorum.place(quorum.draft(), "rebuilder")
    assert _refused(quorum, QuorumError).evidence["agreeing"] == "1"


def test_one_builder_signs_under_many_names_of_one_pattern(quorum: Scene) -> None:
    pattern = IDENTITY.replace("heads/main", "heads/*")
    wide = rule(_INSTANCE, identity="", identity_pattern=pattern, certificate={}, name="any branch")
    quorum.policy = Policy((wide, quorum.policy.rules[1]), builders=2)
    assert quorum.verify().builders == 2
    quorum.place(quorum.draft(workflow_claims(ref="refs/heads/other")), "rebuilder")
    assert _refused(quorum, QuorumError).evidence["agreeing"] == "1"


def test_a_stranger_fills_the_second_place(quorum: Scene) -> None:
    quorum.place(quorum.draft(email_claims("stranger@example.org")), "rebuilder")
    error = _refused(quorum, QuorumError)
    assert "stranger@example.org" in error.evidence["not_counted"]


def test_the_second_builders_bundle_is_withheld(quorum: Scene) -> None:
    quorum.place(b"", "rebuilder").unlink()
    _refused(quorum, QuorumError)


def test_the_second_builder_attests_a_dirty_tree(quorum: Scene) -> None:
    dirty = Scene(quorum.wheel.parent, _INSTANCE).state(external_parameters={"dirty": True})
    quorum.place(quorum.draft(email_claims(_REBUILDER), statement=dirty), "rebuilder")
    _refused(quorum, ProvenanceRefusedError, "demands")

"""Installing from a signed index over HTTP with the environment's own pip."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.version import Version
from tests.support.installing import CPU, FIRST, SECOND, Client, Stall, instance, this_python
from tests.support.nightly import installed
from tests.support.sigstore import workflow_claims
from tests.support.sigstore.scene import rule

from millcert.attest import parse_statement
from millcert.attest.errors import QuorumError
from millcert.errors import UsageError
from millcert.install.environment import read_environment
from millcert.install.errors import CooldownError, EnvironmentRefusedError, ResolutionError


def test_a_night_is_installed_with_what_its_lock_names(site: str, client: Client, tmp_path: Path) -> None:
    summary = client.install(site, tmp_path / "target")
    assert installed(tmp_path / "target") == {f"wootz-{FIRST}", "anvil-2.0"}
    statement = json.loads(summary.read_bytes())
    assert statement["predicateType"] == "https://slsa.dev/verification_summary/v1"
    assert statement["predicate"]["verificationResult"] == "PASSED"
    assert parse_statement(summary.read_bytes()).subjects[0].name.startswith("wootz-")


def test_the_newest_night_is_taken_unless_another_is_named(stall: Stall, site: str, client: Client) -> None:
    stall.night(SECOND)
    assert client.verified(site) == [f"wootz {SECOND}", "anvil 2.0"]
    assert client.verified(site, replace(CPU, version=Version(FIRST)))[0] == f"wootz {FIRST}"


def test_the_chain_of_evidence_names_every_step(site: str, client: Client) -> None:
    with client.prepare(site) as prepared:
        chain = json.loads(json.dumps(prepared.chain))
    assert chain["tuf"]["timestamp"] >= 1
    steps = chain["evidence"]["attestations"][0]["steps"]
    assert [step["check"] for step in steps][:3] == ["form", "time", "certificate"]
    assert [wheel["trusted_by"] for wheel in chain["wheels"]] == ["attestation", "lock"]
    assert not prepared.folder.exists()


def test_two_builders_are_demanded(stall: Stall, site: str, client: Client) -> None:
    elsewhere = "https://github.com/example/rebuilds/.github/workflows/nightly.yml@refs/heads/main"
    second = rule(instance(), identity=elsewhere, name="second", certificate={}, same_commit=False)
    client.policy = replace(client.policy, rules=(*client.policy.rules, second), builders=2)
    with pytest.raises(QuorumError):
        client.verified(site)
    stall.night(SECOND, claims=[workflow_claims(), workflow_claims("example/rebuilds")])
    assert client.verified(site)[0] == f"wootz {SECOND}"


def test_a_cooldown_counts_from_when_the_signature_was_logged(stall: Stall, site: str, client: Client) -> None:
    stall.night(SECOND)
    with pytest.raises(CooldownError):
        client.verified(site, replace(CPU, cooldown=timedelta(hours=6)))
    later = client.later(hours=7)
    assert later.verified(site, replace(CPU, cooldown=timedelta(hours=6)))[0] == f"wootz {SECOND}"


def test_a_version_that_is_not_listed(site: str, client: Client) -> None:
    with pytest.raises(ResolutionError, match="no release that fits"):
        client.verified(site, replace(CPU, version=Version("9.9")))


def test_a_second_install_downloads_no_wheel_again(stall: Stall, client: Client) -> None:
    from tests.support.nightly import serve

    with serve(stall.nightly.site.root) as (address, sent):
        client.verified(address)
        first = [path for path, _ in sent if path.endswith(".whl")]
        client.verified(address)
        assert [path for path, _ in sent if path.endswith(".whl")] == first
        assert len(first) == 2


def test_an_environment_that_is_none_or_whose_pip_fails(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such Python"):
        read_environment(tmp_path / "python")
    with pytest.raises(EnvironmentRefusedError, match="pip did not install"):
        this_python().install(tmp_path, [("absent", "1.0", "0" * 64)], tmp_path / "target")
    assert not (tmp_path / "target").exists()

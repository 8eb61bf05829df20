"""Attacks on who keeps pip or uv and asks the local proxy: nothing passes that ``millcert install`` would refuse.

The gate is asked as the server asks it; that pip and uv get nothing then is in ``tests/millcert/install``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.badserver import alter
from tests.support.installing import FIRST, INDEX, SECOND, WOOTZ, Client, Stall, instance, sbom_of
from tests.support.nightly import NOW, make_wheel
from tests.support.sigstore import workflow_claims
from tests.support.sigstore.scene import rule

from millcert.attest import Policy
from millcert.attest.errors import IdentityRefusedError
from millcert.errors import ConfusionError, HashMismatchError, MillcertError
from millcert.install.anchor import Anchor
from millcert.install.errors import EvidenceError, HostileWheelError, RatchetError, StaleIndexError
from millcert.install.installer import open_index
from millcert.install.proxy import Gate
from millcert.install.source import HttpSource
from millcert.model import Digest, digest_of
from millcert.names import normalize

WHEEL, ANVIL = f"wootz-{FIRST}-py3-none-any.whl", "anvil-2.0-py3-none-any.whl"


@pytest.fixture
def client(stall: Stall, tmp_path: Path) -> Client:
    """Who runs the proxy; any workflow of the project may sign."""
    pattern = "https://github.com/example/wootz/.github/workflows/*@refs/heads/main"
    anybody = rule(instance(), identity="", identity_pattern=pattern, same_commit=False)
    return Client(tmp_path / "client", Anchor(stall.nightly.root), Policy((anybody,)))


def gate(site: str, client: Client) -> Gate:
    source = HttpSource(site, client.transport)
    return Gate(
        lambda: open_index(source, client.anchor, client.state, client.now), client.verifier(), client.state,
        frozenset({WOOTZ}), lambda filename, received, size: None,
    )  # fmt: skip


def refused(
    site: str, client: Client, error: type[MillcertError], match: str, name: str = "wootz", file: str = WHEEL
) -> None:
    with pytest.raises(error, match=match):
        gate(site, client).wheel(INDEX, normalize(name), file)


def test_both_wheels_pass_when_nobody_attacks(site: str, client: Client) -> None:
    """The control."""
    passing = gate(site, client)
    for name, file in (("wootz", WHEEL), ("anvil", ANVIL)):
        found = passing.wheel(INDEX, normalize(name), file)
        assert found is not None
        assert digest_of(found[0].read_bytes()) == found[0].name


@pytest.mark.parametrize(("name", "file"), [("wootz", WHEEL), ("anvil", ANVIL)])
def test_a_wheel_is_altered(stall: Stall, site: str, client: Client, name: str, file: str) -> None:
    alter(stall.nightly.site.root / "files" / name / file)
    refused(site, client, HashMismatchError, "not the locked file", name, file)


def test_a_dependency_that_no_lock_names(stall: Stall, site: str, client: Client) -> None:
    evil = make_wheel(stall.nightly.folder / "evil", "anvil", "2.0", content=b"import evil\n")
    served = stall.nightly.site.root / "files" / "anvil" / ANVIL
    served.chmod(0o644)
    served.write_bytes(evil.read_bytes())
    data = evil.read_bytes()
    stall.forge_page(
        lambda page: replace(page, files=(replace(page.files[0], digest=digest_of(data), size=len(data)),)), "anvil"
    )
    refused(site, client, ConfusionError, "no lock of an attested project", "anvil", ANVIL)


def test_the_attestation_of_somebody_else(stall: Stall, site: str, client: Client) -> None:
    stall.night(SECOND, claims=[workflow_claims("evil/wootz")])
    refused(site, client, IdentityRefusedError, "policy does not name", file=f"wootz-{SECOND}-py3-none-any.whl")


def test_a_signer_who_did_not_sign_before(stall: Stall, site: str, client: Client) -> None:
    assert gate(site, client).wheel(INDEX, WOOTZ, WHEEL)
    stall.night(SECOND, claims=[workflow_claims(workflow="other.yml")])
    refused(site, client, RatchetError, "did not sign it before", file=f"wootz-{SECOND}-py3-none-any.whl")


def test_the_attestation_is_stripped(stall: Stall, site: str, client: Client) -> None:
    stall.forge_file(lambda file: replace(file, evidence={}))
    refused(site, client, EvidenceError, "no attestation")


def test_another_sbom_than_the_wheels(stall: Stall, site: str, client: Client) -> None:
    stall.pin("sbom", stall.put("evil.cdx.json", sbom_of(FIRST) + b" "))
    refused(site, client, EvidenceError, "not the one inside")


def test_core_metadata_that_is_not_the_wheels(stall: Stall, site: str, client: Client) -> None:
    stall.forge_file(lambda file: replace(file, metadata=Digest("0" * 64)))
    refused(site, client, EvidenceError, "core metadata")


def test_an_attested_wheel_that_runs_whenever_python_starts(stall: Stall, site: str, client: Client) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.support.installing.make_wheel", _with_pth)
        stall.night(SECOND)
    refused(site, client, HostileWheelError, "RECORD does not name", file=f"wootz-{SECOND}-py3-none-any.whl")


def _with_pth(folder: Path, *arguments: object, **how: object) -> Path:
    import zipfile

    path = make_wheel(folder, *arguments, **how)  # type: ignore[arg-type]  # passed through
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("evil.pth", b"import evil\n")
    return path


def test_an_index_that_ran_out(site: str, client: Client) -> None:
    refused(site, client.later(hours=37), StaleIndexError, "run out")
    with pytest.raises(StaleIndexError, match="run out"):
        gate(site, client.later(hours=37)).page(INDEX, WOOTZ)


@pytest.mark.parametrize("name", ["wootz", "anvil"])
def test_a_quarantined_project_offers_nothing(stall: Stall, site: str, client: Client, name: str) -> None:
    stall.nightly.publisher().set_status(INDEX, normalize(name), "quarantined", "malware", NOW)
    assert gate(site, client).wheel(INDEX, normalize(name), WHEEL if name == "wootz" else ANVIL) is None
    assert b'"files":[]' in (gate(site, client).page(INDEX, normalize(name)) or b"")

"""A release of millcert that ships its index: root, floor and policy without an option, and what is refused then.

The release is a copy of the sources with the file that ``millcert keys ship`` wrote in it, as its wheel would have it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from securesystemslib.signer import CryptoSigner
from tests.support.installing import FIRST, SECOND, Client, Stall, instance
from tests.support.nightly import NOW, installed, serve
from tests.support.sigstore import workflow_claims
from tests.support.sigstore.scene import BUILD_TYPE, BUILDER_ID, IDENTITY

from millcert.cli.keys import keys_group
from millcert.errors import ConfigError, UsageError
from millcert.install.anchor import anchor_of
from millcert.install.errors import AnchorError, StaleIndexError
from millcert.install.shipped import SHIPPED, parse_shipped, read_shipped, ship
from millcert.keys import DEFAULT_LIFETIMES
from millcert.publish.ceremony import change_role

SOURCES = Path(__file__).parents[3] / "build" / "src" / "millcert"
POLICY = (
    f'[[builder]]\nidentity = "{IDENTITY}"\nissuer = "{instance().issuer.url}"\n'
    f'build-type = "{BUILD_TYPE}"\nbuilder-id = "{BUILDER_ID}"\n'
)


@pytest.fixture
def release(tmp_path: Path, stall: Stall) -> Callable[[str], Path]:
    """Runs the ceremony on the index as it is now, and makes a release with its output: the folder to import from."""

    def make(address: str) -> Path:
        (tmp_path / "root.json").write_bytes(stall.nightly.root)
        (tmp_path / "policy.toml").write_text(POLICY)
        (tmp_path / "sigstore.json").write_bytes(instance().trusted_root_json())
        out = tmp_path / "release"
        shutil.copytree(SOURCES, out / "millcert", ignore=shutil.ignore_patterns("__pycache__"))
        words = ["ship", "--site", str(stall.nightly.site.root), "--root", str(tmp_path / "root.json")]
        words += ["--index-url", address, "--policy", str(tmp_path / "policy.toml")]
        words += ["--trusted-root", str(tmp_path / "sigstore.json"), "--out", str(out / "millcert" / "data" / SHIPPED)]
        result = CliRunner().invoke(keys_group, words)
        assert result.exit_code == 0, result.output + repr(result.exception)
        assert f"floor: timestamp {stall.nightly.state().version('timestamp')}" in result.output
        return out

    return make


def millcert(sources: Path, *words: str, code: int = 0) -> str:
    environment = {**os.environ, "PYTHONPATH": str(sources), "MILLCERT_STATE": str(sources / "state")}
    command = [sys.executable, "-m", "millcert", *words]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_a_first_use_needs_no_options_and_is_protected(
    stall: Stall, release: Callable[[str], Path], tmp_path: Path
) -> None:
    before = tmp_path / "before"
    shutil.copytree(stall.nightly.site.root, before)
    stall.nightly.publisher().refresh(NOW)  # what is shipped is newer than the copy
    with serve(stall.nightly.site.root) as (address, _):
        sources = release(address)
        install = ("install", "wootz", "--nightly", "--variant", "cpu")
        assert f"installed wootz {FIRST}" in millcert(sources, *install, "--target", str(tmp_path / "to"))
    with serve(before) as (mirror, _):
        refused = millcert(sources, *install, "--index-url", mirror, "--state", str(tmp_path / "new"), code=14)
    assert "older than the floor of this client" in refused
    assert installed(tmp_path / "to") == {f"wootz-{FIRST}", "anvil-2.0"}


def test_the_shipped_policy_decides(stall: Stall, release: Callable[[str], Path], tmp_path: Path) -> None:
    with serve(stall.nightly.site.root) as (address, _):
        sources = release(address)
        stall.night(SECOND, claims=[workflow_claims("evil/wootz")])
        install = ("install", "wootz", "--nightly", "--variant", "cpu", "--target", str(tmp_path / "to"))
        assert "policy does not name" in millcert(sources, *install, code=14)
        assert "can never be met" in millcert(sources, *install, "--builders", "2", code=3)


def test_a_checkout_ships_nothing_and_says_so() -> None:
    assert not (SOURCES / "data" / SHIPPED).exists(), "production keys belong into releases"
    told = millcert(SOURCES.parent, "install", "wootz", "--nightly", "--state", os.devnull, code=3)
    assert "ships no index of its own" in told
    assert "--root" in told
    with pytest.raises(AnchorError, match="no index"):
        read_shipped("--root")


def test_the_next_release_forgets_nothing(stall: Stall, client: Client, tmp_path: Path) -> None:
    """It ships a later root, whose keys are all others; what was seen of the index stays seen."""
    policy, sigstore = POLICY.encode(), instance().trusted_root_json()
    first = ship(stall.nightly.state(), stall.nightly.root, "https://nightly.example", policy, sigstore, NOW)
    older = tmp_path / "older"
    with serve(stall.nightly.site.root) as (address, _):
        client.anchor = first.anchor
        assert client.verified(address)
    for key in tuple(stall.nightly.keys["root"]):
        new = CryptoSigner.generate_ed25519()
        stall.nightly.keys["root"].append(new)
        stall.nightly.commit(
            change_role(
                stall.nightly.state(), "root", add=[new.public_key], remove=[key.public_key.keyid], now=NOW,
                lifetimes=DEFAULT_LIFETIMES,
            )
        )  # fmt: skip
        stall.nightly.keys["root"].remove(key)
    second = ship(stall.nightly.state(), stall.nightly.root, "https://nightly.example", policy, sigstore, NOW)
    assert json.loads(second.anchor.root)["signed"]["version"] == 4
    assert second.anchor.digest == first.anchor.digest
    client.anchor = second.anchor
    shutil.copytree(stall.nightly.site.root, older)
    stall.nightly.publisher().refresh(NOW)
    with serve(stall.nightly.site.root) as (address, _):
        assert client.verified(address)
    shutil.rmtree(client.folder / "state" / "tuf")
    with serve(older) as (address, _), pytest.raises(StaleIndexError, match="older than what was seen"):
        client.verified(address)


def test_an_index_that_ran_out_or_is_elsewhere_is_not_shipped(stall: Stall) -> None:
    state, sigstore = stall.nightly.state(), instance().trusted_root_json()

    def attempt(address: str = "https://nightly.example", policy: str = POLICY, hours: int = 0) -> None:
        now = NOW + timedelta(hours=hours)
        ship(state, stall.nightly.root, address, policy.encode(), sigstore, now)

    attempt()
    with pytest.raises(UsageError, match="run out"):
        attempt(hours=37)
    with pytest.raises(UsageError, match="not https"):
        attempt("http://nightly.example")
    with pytest.raises(ConfigError, match="names no builder"):
        attempt(policy="")


@pytest.mark.parametrize(
    "change",
    [{"format": "millcert-index/2"}, {"policy": 3}, {"sigstore": "{}"}, {"floor": None}, {"index": "x"}, {"root": 1}],
    ids=str,
)
def test_a_damaged_file_is_no_file(stall: Stall, change: dict[str, object]) -> None:
    good = ship(
        stall.nightly.state(), stall.nightly.root, "https://nightly.example", POLICY.encode(),
        instance().trusted_root_json(), NOW,
    )  # fmt: skip
    assert parse_shipped(good.to_bytes()) == good
    assert anchor_of(json.loads(good.to_bytes())) == good.anchor
    with pytest.raises(AnchorError):
        parse_shipped(json.dumps(json.loads(good.to_bytes()) | change).encode())

"""What a hostile mirror or a thief of some keys can show a client: each is refused by python-tuf's own client."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tests.support.attacker import forge, page_role, resign
from tests.support.nightly import NOW, Nightly, build_wheel, client, hours, memory_folder, serve
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, TargetFile

from millcert.keys import DEFAULT_LIFETIMES
from millcert.publish import SiteStateError
from millcert.publish.ceremony import change_role

PAGE = "nightly/cpu/wootz/index.json"
FIRST, SECOND = "0.1.0.dev20261123+cpu", "0.1.0.dev20261124+cpu"


@pytest.fixture
def nightly(tmp_path: Path) -> Iterator[Nightly]:
    """An index after its first night."""
    with memory_folder(tmp_path) as folder:
        nightly = Nightly.start(folder)
        nightly.publish(build_wheel(folder / "dist", FIRST))
        yield nightly


def second_night(nightly: Nightly) -> None:
    nightly.publish(build_wheel(nightly.folder / "dist", SECOND), now=NOW + hours(1))


def seen(nightly: Nightly, cache: Path, site: Path | None = None, root: bytes | None = None) -> Any:
    with serve(site or nightly.site.root) as (address, _):
        return client(address, cache, root or nightly.root)["versions"]


def test_rollback_to_an_older_night(nightly: Nightly, tmp_path: Path) -> None:
    shutil.copytree(nightly.site.root, tmp_path / "older")
    second_night(nightly)
    assert seen(nightly, tmp_path / "cache") == [FIRST, SECOND]
    with pytest.raises(BadVersionNumberError):
        seen(nightly, tmp_path / "cache", tmp_path / "older")


def test_freeze_on_a_timestamp_that_ran_out(tmp_path: Path) -> None:
    frozen = Nightly.start(tmp_path, now=NOW - hours(37))
    frozen.publish(build_wheel(tmp_path / "dist"), now=NOW - hours(37))
    with pytest.raises(ExpiredMetadataError, match="timestamp"):
        seen(frozen, tmp_path / "cache")
    frozen.publisher().refresh(NOW)
    assert seen(frozen, tmp_path / "cache") == [FIRST]


def test_freeze_on_a_snapshot_that_ran_out(nightly: Nightly, tmp_path: Path) -> None:
    stale = Nightly.start(tmp_path / "stale", now=NOW - timedelta(days=8))
    stale.publish(build_wheel(tmp_path / "dist"), now=NOW - timedelta(days=8))
    timestamp: Metadata[Any] = Metadata.from_bytes((stale.site.root / "tuf/timestamp.json").read_bytes())
    timestamp.signed.expires = NOW + hours(36)  # the timestamp key alone cannot keep an old snapshot alive
    (stale.site.root / "tuf/timestamp.json").write_bytes(resign(timestamp, stale.keys["timestamp"]))
    with pytest.raises(ExpiredMetadataError, match="snapshot"):
        seen(stale, tmp_path / "cache")


@pytest.mark.parametrize("minutes", [-10, 10])
def test_clocks_that_differ_by_minutes_do_no_harm(tmp_path: Path, minutes: int) -> None:
    skewed = NOW + timedelta(minutes=minutes)
    nightly = Nightly.start(tmp_path, now=skewed)
    nightly.publish(build_wheel(tmp_path / "dist"), now=skewed)
    assert seen(nightly, tmp_path / "cache") == [FIRST]


def test_mix_and_match_of_two_nights(nightly: Nightly, tmp_path: Path) -> None:
    role = page_role(nightly)
    old = nightly.state().version(role)
    second_night(nightly)
    folder = nightly.site.root / "tuf"
    shutil.copy(folder / f"{old}.{role}.json", folder / f"{nightly.state().version(role)}.{role}.json")
    with pytest.raises(RepositoryError):
        seen(nightly, tmp_path / "cache")


def test_an_old_page_under_new_metadata(nightly: Nightly, tmp_path: Path) -> None:
    old = nightly.state().target(PAGE).get_prefixed_paths()[0]
    second_night(nightly)
    shutil.copy(nightly.site.root / old, nightly.site.root / nightly.state().target(PAGE).get_prefixed_paths()[0])
    with pytest.raises((LengthOrHashMismatchError, RepositoryError)):
        seen(nightly, tmp_path / "cache")


def test_a_page_with_one_digit_changed(nightly: Nightly, tmp_path: Path) -> None:
    stored = nightly.site.root / nightly.state().target(PAGE).get_prefixed_paths()[0]
    data = stored.read_bytes()
    stored.write_bytes(data.replace(b'"size":1', b'"size":2', 1))
    assert stored.read_bytes() != data
    with pytest.raises(LengthOrHashMismatchError):
        seen(nightly, tmp_path / "cache")


@pytest.mark.parametrize("which", ["page", "timestamp", "snapshot", "bin"])
def test_endless_data_is_cut_off(nightly: Nightly, tmp_path: Path, which: str) -> None:
    state = nightly.state()
    role = page_role(nightly)
    path = {
        "page": state.target(PAGE).get_prefixed_paths()[0],
        "timestamp": "tuf/timestamp.json",
        "snapshot": f"tuf/{state.version('snapshot')}.snapshot.json",
        "bin": f"tuf/{state.version(role)}.{role}.json",
    }[which]
    with (nightly.site.root / path).open("ab") as stream:
        stream.write(b" " * (4 << 20))
    with pytest.raises(DownloadLengthMismatchError):
        seen(nightly, tmp_path / "cache")


@pytest.mark.parametrize("name", ["timestamp", "snapshot"])
def test_an_online_role_signed_by_a_strangers_key(nightly: Nightly, tmp_path: Path, name: str) -> None:
    nightly.keys[name] = [CryptoSigner.generate_ed25519()]
    forge(nightly, page_role(nightly), lambda signed: None, nightly.keys["publisher"])
    with pytest.raises(UnsignedMetadataError, match=name):
        seen(nightly, tmp_path / "cache")


def add_evil(signed: Any) -> None:
    """What a thief would do with a page's bin: list another page."""
    signed.targets[PAGE] = TargetFile.from_data(PAGE, b'{"files": []}', ["sha256"])


def test_a_page_signed_by_a_strangers_key(nightly: Nightly, tmp_path: Path) -> None:
    forge(nightly, page_role(nightly), add_evil, [CryptoSigner.generate_ed25519()])
    with pytest.raises(UnsignedMetadataError):
        seen(nightly, tmp_path / "cache")


def test_a_publishers_key_alone_cannot_exchange_metadata(nightly: Nightly, tmp_path: Path) -> None:
    """The snapshot pins each role by hash: who stole the publisher's key still needs the snapshot's."""
    role = page_role(nightly)
    path = nightly.site.root / "tuf" / f"{nightly.state().version(role)}.{role}.json"
    document: Metadata[Any] = Metadata.from_bytes(path.read_bytes())
    add_evil(document.signed)
    document.signed.version -= 1
    path.write_bytes(resign(document, nightly.keys["publisher"]))
    with pytest.raises(RepositoryError):
        seen(nightly, tmp_path / "cache")
    with pytest.raises(SiteStateError, match="does not verify"):
        nightly.publish(build_wheel(nightly.folder / "dist", SECOND), now=NOW + hours(1))


def test_a_page_signed_by_too_few_keys(tmp_path: Path) -> None:
    nightly = Nightly.start(tmp_path, publishers=2)
    nightly.publish(build_wheel(tmp_path / "dist", FIRST))
    forge(nightly, page_role(nightly), add_evil, nightly.keys["publisher"][:1])
    with pytest.raises(UnsignedMetadataError):
        seen(nightly, tmp_path / "cache")


def test_one_root_key_of_three_is_not_enough(nightly: Nightly, tmp_path: Path) -> None:
    root: Metadata[Any] = Metadata.from_bytes(nightly.root)
    thief = CryptoSigner.generate_ed25519()
    root.signed.add_key(thief.public_key, "timestamp")
    (nightly.site.root / "tuf/2.root.json").write_bytes(resign(root, [nightly.keys["root"][0], thief]))
    with pytest.raises(UnsignedMetadataError):
        seen(nightly, tmp_path / "cache")


def test_targets_threshold_counts_distinct_keys(nightly: Nightly, tmp_path: Path) -> None:
    forge(nightly, "targets", lambda signed: None, nightly.keys["targets"][:1])
    with pytest.raises(UnsignedMetadataError):
        seen(nightly, tmp_path / "cache")


@pytest.mark.parametrize("role", ["nightly-cpu-pages", "timestamp"])
def test_a_revoked_key_signs_nothing_any_more(nightly: Nightly, tmp_path: Path, role: str) -> None:
    holder = "publisher" if role.endswith("pages") else role
    stolen, fresh = nightly.keys[holder][0], CryptoSigner.generate_ed25519()
    draft = change_role(
        nightly.state(), role, add=[fresh.public_key], remove=[stolen.public_key.keyid], now=NOW,
        lifetimes=DEFAULT_LIFETIMES,
    )  # fmt: skip
    nightly.keys[holder] = [fresh]
    nightly.commit(draft)
    assert seen(nightly, tmp_path / "cache") == [FIRST]
    nightly.keys[holder] = [stolen]
    signers = nightly.keys["publisher"]
    forge(nightly, page_role(nightly), add_evil, signers)
    with pytest.raises(UnsignedMetadataError):
        seen(nightly, tmp_path / "cache")
    with pytest.raises(UnsignedMetadataError):
        seen(nightly, tmp_path / "another cache")


def test_an_expired_root(tmp_path: Path) -> None:
    nightly = Nightly.start(tmp_path, now=NOW - timedelta(days=366))
    nightly.publish(build_wheel(tmp_path / "dist"), now=NOW)
    with pytest.raises(ExpiredMetadataError, match=r"root\.json"):
        seen(nightly, tmp_path / "cache")


def test_pages_that_nobody_renewed(tmp_path: Path) -> None:
    nightly = Nightly.start(tmp_path, now=NOW - timedelta(days=91))
    nightly.publish(build_wheel(tmp_path / "dist"), now=NOW - timedelta(days=91))
    online = [*nightly.keys["snapshot"], *nightly.keys["timestamp"]]
    nightly.publisher(signers=online).refresh(NOW)
    with pytest.raises(ExpiredMetadataError, match="pages"):
        seen(nightly, tmp_path / "cache")


def test_an_index_cannot_sign_pages_of_another(nightly: Nightly, tmp_path: Path) -> None:
    nightly.add_index("nightly/cu129")
    other = "nightly/cu129/wootz/index.json"

    def claim(signed: Any) -> None:
        signed.targets[other] = TargetFile.from_data(other, b"{}", ["sha256"])

    for role in ("nightly-cpu-pages-0", "nightly-cpu-pages-1"):
        forge(nightly, role, claim, nightly.keys["publisher"])
    with serve(nightly.site.root) as (address, _), pytest.raises(LookupError):
        client(address, tmp_path / "cache", nightly.root, other)

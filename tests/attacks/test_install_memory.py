"""Attacks on what a client remembers and on what it is handed offline: ratchet, kept state, cooldown, kits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.installing import CPU, FIRST, INDEX, SECOND, Client, Stall, instance
from tests.support.nightly import NOW, serve
from tests.support.sigstore import workflow_claims
from tests.support.sigstore.scene import rule

from millcert.attest import Policy
from millcert.errors import HashMismatchError, MillcertError, UnsafeArchiveError
from millcert.index import AbsentError, OversizeError
from millcert.install.anchor import Anchor
from millcert.install.errors import (
    CooldownError,
    EvidenceError,
    HostileWheelError,
    RatchetError,
    StaleIndexError,
    StateDamagedError,
)
from millcert.install.installer import Installer, open_index
from millcert.install.kit import Recorder, open_kit, reference_time, write_kit
from millcert.install.source import HttpSource, KitSource, Wanted
from millcert.model import digest_of

OTHER = "https://github.com/example/wootz/.github/workflows/other.yml@refs/heads/main"
REBUILDS = "https://github.com/example/rebuilds/.github/workflows/nightly.yml@refs/heads/main"


@pytest.fixture
def client(stall: Stall, tmp_path: Path) -> Client:
    """Who believes any workflow of the project, and one of the rebuilders."""
    any_workflow = rule(
        instance(), identity="", identity_pattern="https://github.com/example/wootz/.github/workflows/*@refs/heads/main",
        same_commit=False,
    )  # fmt: skip
    rebuilds = rule(instance(), identity=REBUILDS, name="rebuilds", same_commit=False, certificate={})
    return Client(tmp_path / "client", Anchor(stall.nightly.root), Policy((any_workflow, rebuilds)))


def install(stall: Stall, client: Client, target: Path, **how: object) -> None:
    with serve(stall.nightly.site.root) as (address, _):
        client.install(address, target, replace(CPU, **how))  # type: ignore[arg-type]  # fields of the request


# -- the ratchet


def test_a_new_signer_that_the_policy_lets_in(stall: Stall, client: Client, tmp_path: Path) -> None:
    install(stall, client, tmp_path / "first")
    stall.night(SECOND, claims=[workflow_claims(workflow="other.yml")])
    with pytest.raises(RatchetError, match="did not sign it before"):
        install(stall, client, tmp_path / "second")
    assert not (tmp_path / "second").exists()
    install(stall, client, tmp_path / "second", accepted=(OTHER,))
    install(stall, client, tmp_path / "third")  # accepted once, known from then on


def test_a_builder_is_lost(stall: Stall, client: Client, tmp_path: Path) -> None:
    stall.night(SECOND, claims=[workflow_claims(), workflow_claims("example/rebuilds")])
    install(stall, client, tmp_path / "first")
    stall.night("0.1.0.dev20261125+cpu")
    with pytest.raises(RatchetError, match="fewer builders"):
        install(stall, client, tmp_path / "second")


def test_a_dry_run_remembers_nobody(stall: Stall, client: Client, tmp_path: Path) -> None:
    with serve(stall.nightly.site.root) as (address, _):
        client.verified(address)
    stall.night(SECOND, claims=[workflow_claims(workflow="other.yml")])
    install(stall, client, tmp_path / "target")


# -- kept state


@pytest.mark.parametrize(
    "how", [b"", b"{}", b'{"ratchet": 1, "indexes": {}, "projects": {"wootz": 3}}', b'{"a":1,"a":2}']
)
def test_a_damaged_ratchet_is_never_started_anew(stall: Stall, client: Client, tmp_path: Path, how: bytes) -> None:
    install(stall, client, tmp_path / "first")
    (client.folder / "state" / "ratchet.json").write_bytes(how)
    with pytest.raises(StateDamagedError):
        install(stall, client, tmp_path / "second")


def test_poisoned_blobs_are_found_and_set_aside(stall: Stall, client: Client, tmp_path: Path) -> None:
    install(stall, client, tmp_path / "first")
    wheel = stall.listed().digest
    blob = client.state.store.path(wheel)
    blob.chmod(0o644)
    blob.write_bytes(b"PK" + blob.read_bytes()[2:-1] + b"!")
    with pytest.raises(HashMismatchError, match="altered"):
        install(stall, client, tmp_path / "second")
    install(stall, client, tmp_path / "third")  # brought again


def test_a_wheel_that_changes_on_its_way_out_of_the_store(
    stall: Stall, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody is quicker than the installer between the check of the store and the private folder."""
    monkeypatch.setattr("millcert.install.installer.os.link", lambda blob, path: path.write_bytes(b"evil"))
    with pytest.raises(EvidenceError, match="not what its page says"):
        install(stall, client, tmp_path / "target")


def test_poisoned_metadata_convinces_nobody(stall: Stall, client: Client, tmp_path: Path) -> None:
    install(stall, client, tmp_path / "first")
    other = Stall.open(tmp_path / "other")
    kept = client.folder / "state" / "tuf" / client.anchor.digest[:32]
    for name in ("timestamp.json", "snapshot.json", "targets.json"):
        versions = sorted((other.nightly.site.root / "tuf").glob(f"*{name}"))
        (kept / name).write_bytes(versions[-1].read_bytes())
    (kept / "root_history" / "2.root.json").write_bytes(other.nightly.root)
    install(stall, client, tmp_path / "second")
    with serve(other.nightly.site.root) as (address, _), pytest.raises(MillcertError):
        client.verified(address)


# -- the cooldown


def test_an_upload_time_shortens_no_cooldown(stall: Stall, client: Client) -> None:
    stall.forge_file(lambda file: replace(file, uploaded=NOW - timedelta(days=90)))
    with serve(stall.nightly.site.root) as (address, _), pytest.raises(CooldownError, match=r"log or time-stamp"):
        client.verified(address, replace(CPU, cooldown=timedelta(days=3)))


# -- kits


def make_kit(stall: Stall, client: Client, path: Path) -> Path:
    """What ``millcert kit create`` does."""
    state = client.state
    with serve(stall.nightly.site.root) as (address, _), state.store.temporary() as fresh:
        recorder = Recorder(HttpSource(address, client.transport), state.store)
        index = open_index(recorder, client.anchor, state, client.now, fresh=fresh)
        installer = Installer(
            index, client.verifier(), digest_of(b""), state, client.environment, client.now, lambda *_: None
        )
        with installer.prepare(CPU), path.open("wb") as stream:
            write_kit(recorder, "wootz", INDEX, FIRST, stream)
    return path


def read_kit(client: Client, kit: Path, *, max_age: timedelta = timedelta(0)) -> list[str]:
    """What ``millcert kit verify`` does; the versions it would install."""
    state = client.state
    source = open_kit(kit, state.store).source
    expiry = reference_time(client.now, max_age, client.now)
    index = open_index(source, client.anchor, state, client.now, expiry=expiry)
    installer = Installer(
        index, client.verifier(), digest_of(b""), state, client.environment, client.now, lambda *_: None
    )
    with installer.prepare(CPU) as prepared:
        return [str(wheel.version) for wheel in prepared.wheels]


@pytest.fixture
def airgapped(client: Client, tmp_path: Path) -> Client:
    """Another machine, with nothing but the anchor and the policy."""
    return replace(client, folder=tmp_path / "airgapped")


def test_a_kit_ages(stall: Stall, client: Client, airgapped: Client, tmp_path: Path) -> None:
    kit = make_kit(stall, client, tmp_path / "kit")
    assert read_kit(airgapped, kit) == [FIRST, "2.0"]
    later = airgapped.later(days=20)
    with pytest.raises(StaleIndexError, match="run out"):
        read_kit(later, kit)
    with pytest.raises(StaleIndexError, match="run out"):
        read_kit(later, kit, max_age=timedelta(days=10))
    assert read_kit(later, kit, max_age=timedelta(days=30)) == [FIRST, "2.0"]
    with pytest.raises(StaleIndexError, match="future"):
        reference_time(NOW + timedelta(days=1), timedelta(0), NOW)


def test_no_patience_reaches_below_the_floor(stall: Stall, client: Client, airgapped: Client, tmp_path: Path) -> None:
    """A client that was made after the kit ran out refuses it, however old a kit its user would take."""
    kit = make_kit(stall, client, tmp_path / "kit")
    later = replace(airgapped.later(days=20), anchor=Anchor(stall.nightly.root, 0, NOW + timedelta(days=10)))
    with pytest.raises(StaleIndexError, match="older than the floor"):
        read_kit(later, kit, max_age=timedelta(days=30))


def test_a_kit_of_an_older_night_after_a_newer_one(
    stall: Stall, client: Client, airgapped: Client, tmp_path: Path
) -> None:
    old = make_kit(stall, client, tmp_path / "old")
    stall.night(SECOND)
    new = make_kit(stall, client, tmp_path / "new")
    assert read_kit(airgapped, new)[0] == SECOND
    with pytest.raises(StaleIndexError):
        read_kit(airgapped, old)


@pytest.mark.parametrize("place", [0.3, 0.5, 0.9])
def test_an_altered_kit(stall: Stall, client: Client, airgapped: Client, tmp_path: Path, place: float) -> None:
    kit = make_kit(stall, client, tmp_path / "kit")
    data = bytearray(kit.read_bytes())
    at = data.index(b"PK\x03\x04") + int(place * 200)
    data[at] ^= 1
    kit.write_bytes(data)
    with pytest.raises(HashMismatchError):
        read_kit(airgapped, kit)


def test_a_kit_by_somebody_else(stall: Stall, client: Client, airgapped: Client, tmp_path: Path) -> None:
    other = Stall.open(tmp_path / "other")
    kit = make_kit(
        other, replace(client, anchor=Anchor(other.nightly.root), folder=tmp_path / "evil"), tmp_path / "kit"
    )
    with pytest.raises(MillcertError):
        read_kit(airgapped, kit)


def test_a_cut_off_kit_and_one_of_another_kind(stall: Stall, client: Client, airgapped: Client, tmp_path: Path) -> None:
    kit = make_kit(stall, client, tmp_path / "kit")
    whole = kit.read_bytes()
    kit.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MillcertError):
        read_kit(airgapped, kit)
    kit.write_bytes(b"no tar at all")
    with pytest.raises(UnsafeArchiveError):
        read_kit(airgapped, kit)


def test_a_kit_whose_list_names_what_it_lacks(stall: Stall, client: Client, airgapped: Client, tmp_path: Path) -> None:
    from millcert.model import canonical_json
    from millcert.store.kit import export_kit

    state = client.state
    listing = canonical_json({"kit": 1, "project": "wootz", "index": INDEX, "version": FIRST, "paths": {"a": "0" * 64}})
    with (tmp_path / "kit").open("wb") as stream:
        export_kit(state.store, {state.store.add_bytes(listing): "millcert-install.json"}, stream)
    with pytest.raises(HostileWheelError, match="not an installation kit"):
        read_kit(airgapped, tmp_path / "kit")


def test_a_kit_with_a_list_of_gigabytes(
    stall: Stall, client: Client, airgapped: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = make_kit(stall, client, tmp_path / "kit")
    monkeypatch.setattr("millcert.install.kit._MOST_LIST", 10)
    with pytest.raises(HostileWheelError, match="not an installation kit") as refusal:
        read_kit(airgapped, kit)
    assert "too long" in str(refusal.value)


def test_a_kit_with_metadata_of_gigabytes_or_without_a_pinned_file(airgapped: Client) -> None:
    store = airgapped.state.store
    source = KitSource({"tuf/timestamp.json": store.add_bytes(b" " * 100)}, store)
    assert source.read("tuf/timestamp.json", 100) == b" " * 100
    with pytest.raises(OversizeError, match="too long"):
        source.read("tuf/timestamp.json", 99)
    with pytest.raises(AbsentError, match="no such file"):
        source.read("tuf/1.root.json", 100)
    with pytest.raises(AbsentError, match="lacks a file"):
        source.bring([Wanted("a", "a", digest_of(b"absent"), 6)], store, lambda *_: None)

"""Ceremonies as the honest side needs them: every role's keys change, and old clients follow."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner, Signer, SSlibKey
from tests.support.nightly import NOW, Nightly, build_wheel, client, hours, serve

from millcert.keys import DEFAULT_LIFETIMES, CeremonyError, Draft, Role, UnsignedError, read_draft, write_draft
from millcert.publish import LostRaceError, SiteStateError, load_state
from millcert.publish.ceremony import add_index, change_role, expiring, renew_roles
from millcert.publish.overview import describe, roles_of_key

HOLDERS = {
    "root": "root", "targets": "targets", "snapshot": "snapshot", "timestamp": "timestamp",
    "nightly-cpu": "maintainer", "nightly-cpu-pages": "publisher",
}  # fmt: skip
FIRST, SECOND = "0.1.0.dev20261123+cpu", "0.1.0.dev20261124+cpu"


def change(nightly: Nightly, role: str, *, add: list[Signer] | None = None, remove: list[Signer] | None = None,
           threshold: int | None = None) -> Draft:  # fmt: skip
    return change_role(
        nightly.state(), role, add=[key.public_key for key in add or []], threshold=threshold,
        remove=[key.public_key.keyid for key in remove or []], now=NOW, lifetimes=DEFAULT_LIFETIMES,
    )  # fmt: skip


def rotate(nightly: Nightly, role: str) -> None:
    """Replace one key of a role by a new one; the old one helps to sign and is gone afterwards."""
    holder = HOLDERS[role]
    old, new = nightly.keys[holder][0], CryptoSigner.generate_ed25519()
    draft = change(nightly, role, add=[new], remove=[old])
    nightly.keys[holder].append(new)
    nightly.commit(draft)
    nightly.keys[holder].remove(old)


@pytest.mark.parametrize("role", HOLDERS)
def test_every_roles_key_can_be_rotated(nightly: Nightly, tmp_path: Path, role: str) -> None:
    nightly.publish(build_wheel(tmp_path / "dist", FIRST))
    with serve(nightly.site.root) as (address, _):
        assert client(address, tmp_path / "cache", nightly.root)["versions"] == [FIRST]
        old = nightly.keys[HOLDERS[role]][0]
        rotate(nightly, role)
        assert client(address, tmp_path / "cache", nightly.root)["versions"] == [FIRST]
        nightly.publish(build_wheel(tmp_path / "dist", SECOND), now=NOW + hours(1))
        assert client(address, tmp_path / "cache", nightly.root)["versions"] == [FIRST, SECOND]
        assert client(address, tmp_path / "new", nightly.root)["versions"] == [FIRST, SECOND]
    assert roles_of_key(nightly.state(), old.public_key.keyid) == []


def test_an_old_client_crosses_three_roots(nightly: Nightly, tmp_path: Path) -> None:
    nightly.publish(build_wheel(tmp_path / "dist", FIRST))
    with serve(nightly.site.root) as (address, sent):
        client(address, tmp_path / "cache", nightly.root)
        for _ in range(3):  # in the end no root key of the first root is left
            rotate(nightly, "root")
        nightly.publish(build_wheel(tmp_path / "dist", SECOND), now=NOW + hours(1))
        del sent[:]
        assert client(address, tmp_path / "cache", nightly.root)["versions"] == [FIRST, SECOND]
    roots = [path for path, _ in sent if path.endswith("root.json")]
    assert roots == ["/tuf/2.root.json", "/tuf/3.root.json", "/tuf/4.root.json"]
    assert load_state(nightly.site, nightly.root).version("root") == 4


def test_signatures_are_collected_on_several_machines(nightly: Nightly, tmp_path: Path) -> None:
    alice, bob, carol = nightly.keys["root"]
    draft = change(nightly, "root", threshold=3)
    draft.sign(nightly.keys["targets"])
    write_draft(draft, tmp_path / "draft.json")
    online = [*nightly.keys["snapshot"], *nightly.keys["timestamp"]]
    for name, key in (("alice", alice), ("bob", bob), ("carol", carol)):
        copied = read_draft(tmp_path / "draft.json")
        assert copied.sign([key]) == ["root"]
        write_draft(copied, tmp_path / f"{name}.json")
    merged = read_draft(tmp_path / "draft.json")
    for left, name in ((2, "alice"), (1, "bob"), (0, "carol")):
        merged.merge(read_draft(tmp_path / f"{name}.json"))
        assert merged.missing().get("root", 0) == left
        if left:
            with pytest.raises(UnsignedError, match="lacks signatures"):
                nightly.commit(copy.deepcopy(merged), signers=online)
    nightly.commit(merged, signers=online)
    assert nightly.state().root.signed.roles["root"].threshold == 3


def test_publishing_with_a_threshold_waits_for_the_second_signature(tmp_path: Path) -> None:
    nightly = Nightly.start(tmp_path, publishers=2)
    one, two = nightly.keys["publisher"]
    online = [*nightly.keys["snapshot"], *nightly.keys["timestamp"]]
    wheel = build_wheel(tmp_path / "dist", FIRST)
    with pytest.raises(UnsignedError):
        nightly.publish(wheel, publisher=nightly.publisher(signers=[one, *online]))
    outcome = nightly.publish(wheel, publisher=nightly.publisher(signers=[one, *online], drafts=tmp_path))
    assert outcome.draft is not None
    assert nightly.state().page("nightly/cpu/wootz/index.json") is None
    draft = read_draft(outcome.draft)
    assert set(draft.missing().values()) == {1}
    draft.sign([two])
    nightly.commit(draft, signers=online)
    with serve(nightly.site.root) as (address, _):
        assert client(address, tmp_path / "cache", nightly.root)["versions"] == [FIRST]
    assert FIRST in (nightly.site.root / "nightly/cpu/wootz/index.json").read_text()


def test_offline_ceremonies_do_not_race_with_the_nights(nightly: Nightly, tmp_path: Path) -> None:
    draft = change(nightly, "root", threshold=1)  # takes days, while the nights go on
    nightly.publish(build_wheel(tmp_path / "dist", FIRST), now=NOW + hours(1))
    nightly.commit(draft, now=NOW + hours(2))
    assert nightly.state().root.signed.roles["root"].threshold == 1


def test_two_drafts_of_one_role_cannot_both_come_into_force(nightly: Nightly) -> None:
    drafts = [
        change(nightly, "targets", threshold=1),
        change(nightly, "targets", add=[CryptoSigner.generate_ed25519()]),
    ]
    nightly.commit(drafts[0])
    with pytest.raises(LostRaceError):
        nightly.commit(drafts[1])


def test_a_draft_that_the_nights_overtook_leaves_nothing_behind(nightly: Nightly, tmp_path: Path) -> None:
    new = CryptoSigner.generate_ed25519()
    draft = change(nightly, "nightly-cpu-pages", add=[new], remove=nightly.keys["publisher"])  # signs pages anew
    nightly.publish(build_wheel(tmp_path / "dist", FIRST))
    before = sorted(nightly.site.root.rglob("*"))
    with pytest.raises(LostRaceError, match="moved on since the draft"):
        nightly.commit(draft, signers=[*nightly.all_keys, new])
    assert sorted(nightly.site.root.rglob("*")) == before


def test_metadata_that_runs_out_is_signed_again(nightly: Nightly, tmp_path: Path) -> None:
    nightly.publish(build_wheel(tmp_path / "dist", FIRST))
    later = NOW + timedelta(days=80)
    names = expiring(nightly.state(), later, timedelta(days=30))
    assert sorted(names) == ["nightly-cpu-pages-0", "nightly-cpu-pages-1"]
    nightly.commit(renew_roles(nightly.state(), names, later, DEFAULT_LIFETIMES), now=later)
    assert expiring(nightly.state(), later, timedelta(days=30)) == {}
    assert nightly.state().page("nightly/cpu/wootz/index.json") is not None


def test_a_refresh_keeps_pages_alive_that_do_not_change(nightly: Nightly, tmp_path: Path) -> None:
    nightly.publish(build_wheel(tmp_path / "dist", FIRST))
    later = NOW + timedelta(days=80)
    online = [*nightly.keys["snapshot"], *nightly.keys["timestamp"]]
    nightly.publisher(signers=online).refresh(later)
    assert len(expiring(nightly.state(), later, timedelta(days=30))) == 2, "these keys cannot sign pages"
    nightly.publisher().refresh(later)
    assert expiring(nightly.state(), later, timedelta(days=30)) == {}
    assert nightly.state().page("nightly/cpu/wootz/index.json") is not None


def test_a_threshold_that_nobody_could_meet_is_refused(nightly: Nightly) -> None:
    for what in ({"threshold": 4}, {"remove": nightly.keys["root"][:2]}, {"threshold": 0}):
        with pytest.raises(CeremonyError, match="threshold"):
            change(nightly, "root", **what)  # type: ignore[arg-type]  # free keywords
    with pytest.raises(CeremonyError, match="no such role"):
        change(nightly, "wizard", threshold=1)


def test_one_key_in_two_spellings_does_not_count_twice(nightly: Nightly) -> None:
    key = nightly.keys["targets"][0].public_key
    alias = SSlibKey("f" * 64, key.keytype, key.scheme, dict(key.keyval))
    with pytest.raises(CeremonyError, match="twice"):
        Role((key, alias), 2)
    with pytest.raises(CeremonyError, match="twice"):
        change_role(nightly.state(), "targets", add=[alias], now=NOW, lifetimes=DEFAULT_LIFETIMES)


def test_keys_are_added_once_and_removed_by_an_id_that_is_theirs_alone(nightly: Nightly) -> None:
    with pytest.raises(CeremonyError, match="has that role already"):
        change(nightly, "targets", add=nightly.keys["targets"][:1])
    for keyid in ("", "0" * 64):  # of several, of none
        with pytest.raises(CeremonyError, match="no key of the role has that id, or several have"):
            change_role(nightly.state(), "targets", remove=[keyid], threshold=1, now=NOW, lifetimes=DEFAULT_LIFETIMES)


def test_a_draft_that_lowers_its_own_demands_is_refused(nightly: Nightly) -> None:
    draft = change(nightly, "root", threshold=1)
    draft.signers = {"root": (Role((nightly.keys["root"][0].public_key,), 1),)}
    draft.sign([nightly.keys["root"][0]])
    assert draft.missing() == {}
    with pytest.raises(UnsignedError, match="old root"):
        nightly.commit(draft, signers=[*nightly.keys["snapshot"], *nightly.keys["timestamp"]])
    assert nightly.state().version("root") == 1


@pytest.mark.parametrize("role", ["targets", "nightly-cpu", "nightly-cpu-pages-0"])
def test_a_draft_that_names_signers_of_its_own_is_refused(nightly: Nightly, role: str) -> None:
    thief = CryptoSigner.generate_ed25519()
    draft = renew_roles(nightly.state(), [role], NOW, DEFAULT_LIFETIMES)
    draft.signers = {role: (Role((thief.public_key,), 1),)}
    draft.sign([thief])
    assert draft.missing() == {}
    before = nightly.site.read("tuf/timestamp.json")
    with pytest.raises(UnsignedError, match="not signed by enough of its keys"):
        nightly.commit(draft, signers=[*nightly.keys["snapshot"], *nightly.keys["timestamp"]])
    assert nightly.site.read("tuf/timestamp.json") == before


def test_a_change_that_would_orphan_metadata_is_refused(nightly: Nightly) -> None:
    new = CryptoSigner.generate_ed25519()
    draft = change(nightly, "nightly-cpu-pages", add=[new], remove=nightly.keys["publisher"])
    assert set(draft.metadata) == {"nightly-cpu", "nightly-cpu-pages-0", "nightly-cpu-pages-1"}
    for part in (draft.metadata, draft.signers, draft.base):
        del part["nightly-cpu-pages-0"]  # type: ignore[attr-defined]  # each is a dict
    nightly.keys["publisher"].append(new)
    with pytest.raises(UnsignedError, match="not signed by enough"):
        nightly.commit(draft)


def test_merging_refuses_forged_signatures_and_other_drafts(nightly: Nightly) -> None:
    draft = change(nightly, "root", threshold=1)
    forged = copy.deepcopy(draft)
    forged.sign(nightly.keys["root"])
    for signature in forged.metadata["root"].signatures.values():
        signature.signature = "00" * 64
    with pytest.raises(CeremonyError, match="does not verify"):
        draft.merge(forged)
    with pytest.raises(CeremonyError, match="differ in what is signed"):
        draft.merge(change(nightly, "root", add=[CryptoSigner.generate_ed25519()]))
    with pytest.raises(CeremonyError, match="not copies"):
        draft.merge(change(nightly, "nightly-cpu-pages", threshold=1))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"format": "millcert-draft/2"}', b'{"format": "millcert-draft/1", "metadata": {}}']
)
def test_a_file_that_is_no_draft(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "draft.json").write_bytes(data)
    with pytest.raises(CeremonyError, match="not a draft"):
        read_draft(tmp_path / "draft.json")


@pytest.mark.parametrize("change", [{"format": "millcert-draft/2"}, {"base": {}}, {"signers": {}}], ids=str)
def test_a_good_draft_with_one_field_of_another(nightly: Nightly, tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "draft.json"
    write_draft(renew_roles(nightly.state(), ["targets"], NOW, DEFAULT_LIFETIMES), path)
    assert read_draft(path).missing()
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
    with pytest.raises(CeremonyError, match="not a draft"):
        read_draft(path)


def test_an_index_is_delegated_once(nightly: Nightly) -> None:
    role = Role((nightly.keys["publisher"][0].public_key,), 1)
    with pytest.raises(CeremonyError, match="already"):
        add_index(nightly.state(), "nightly/cpu", role, role, 1, NOW, DEFAULT_LIFETIMES)


def test_the_overview_names_roles_keys_and_expiry(nightly: Nightly) -> None:
    rows = {row["role"]: row for row in describe(nightly.state())}
    assert list(rows) == ["root", "targets", "snapshot", "timestamp", "nightly-cpu", "nightly-cpu-pages"]
    assert (rows["root"]["threshold"], len(rows["root"]["keyids"])) == (2, 3)
    assert rows["timestamp"]["expires"] == f"{NOW + hours(36):%Y-%m-%d %H:%M}Z"


def test_a_tree_that_was_put_back_in_time_is_not_extended(nightly: Nightly, tmp_path: Path) -> None:
    version = nightly.state().version("timestamp")
    publisher = nightly.publisher(floor=version + 1)
    with pytest.raises(SiteStateError, match="older than it should be"):
        nightly.publish(build_wheel(tmp_path / "dist"), publisher=publisher)

"""The store's upkeep through its commands: garbage, verification, reasons, differences, kits."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from tests.support.hermetic import run_millcert

from millcert.errors import UsageError
from millcert.model import Digest, digest_of
from millcert.store import Store
from millcert.store.difference import compare_trees
from millcert.store.garbage import collect
from millcert.store.references import find_digest, find_tree, references

DAY = 86400.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def tree_of(store: Store, folder: Path, **files: str) -> Digest:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return store.add_tree(folder)


def record(store: Store, name: str, tree: Digest, *needs: Digest, age: float = 0) -> Digest:
    key = digest_of(name.encode())
    store.put_record(key, tree, name=name, needs=needs)
    moment = time.time() - age
    os.utime(store.root / "records" / f"{key}.json", (moment, moment))
    return key


def test_garbage_is_what_neither_a_lock_nor_a_recent_build_needs(store: Store, tmp_path: Path) -> None:
    source = tree_of(store, tmp_path / "source", code="int x;")
    made = tree_of(store, tmp_path / "made", library="\x7fELF", shared="both")
    old = tree_of(store, tmp_path / "old", library="before", shared="both")
    recent = record(store, "compile", made, source, age=DAY)
    record(store, "compile before", old, age=40 * DAY)
    pinned, loose = store.add_bytes(b"a locked wheel"), store.add_bytes(b"nobody's")
    for tree in (made, old):
        store.checkout(tree)
    collected = collect(store, [pinned], time.time() - 30 * DAY)
    assert store.record(recent) == made
    assert (store.checkout(made) / "shared").read_text() == "both"
    assert (store.checkout(source) / "code").read_text() == "int x;"
    assert store.has(pinned)
    assert not store.has(loose)
    assert not store.has(digest_of(b"before"))
    assert not (store.root / "trees" / old).exists()
    assert (collected.removed_records, collected.removed_trees, collected.removed_blobs) == (1, 1, 3)


def test_a_dry_run_says_the_same_and_removes_nothing(store: Store) -> None:
    loose = store.add_bytes(b"nobody's")
    said = collect(store, [], time.time(), dry_run=True)
    assert store.has(loose)
    assert collect(store, [], time.time()) == said
    assert not store.has(loose)


def test_use_makes_a_record_recent_again(store: Store, tmp_path: Path) -> None:
    key = record(store, "step", tree_of(store, tmp_path / "made", x="1"), age=40 * DAY)
    assert store.record(key)  # as a build does that finds it
    collect(store, [], time.time() - 30 * DAY)
    assert store.record(key)


def test_why_follows_blobs_to_trees_and_steps(store: Store, tmp_path: Path) -> None:
    source = tree_of(store, tmp_path / "source", code="int x;")
    made = tree_of(store, tmp_path / "made", library="\x7fELF")
    record(store, "compile", made, source)
    record(store, "link", tree_of(store, tmp_path / "linked", wheel="PK"), made)

    def why(digest: str) -> list[str]:
        return [f"{reason.holder} {reason.role}" for reason in references(store, find_digest(store, digest))]

    assert why(digest_of(b"int x;")) == [f"an input of compile ({source[:12]}) holds it as code"]
    assert why(digest_of(b"\x7fELF")[:12]) == [f"the output of compile ({made[:12]}) holds it as library"]
    keys = {name: digest_of(name.encode())[:12] for name in ("compile", "link")}
    assert why(made) == [f"compile ({keys['compile']}) gave this tree", f"link ({keys['link']}) reads it"]
    with pytest.raises(UsageError):
        find_digest(store, "0" * 12)
    with pytest.raises(UsageError):
        find_digest(store, "../x")


def test_differences_name_path_kind_and_first_byte(store: Store, tmp_path: Path) -> None:
    one = tree_of(store, tmp_path / "one", same="s", gone="g", text="hello world")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "same").symlink_to("text")
    two = tree_of(store, tmp_path / "two", text="hello World!", fresh="f")
    found = [(d.path, d.kind, d.detail) for d in compare_trees(store, one, two)]
    assert found == [
        ("fresh", "only in the second", ""),
        ("gone", "only in the first", ""),
        ("same", "changed", "file → link"),
        ("text", "changed", "at byte 6: b'world' and b'World!'; 11 and 12 bytes"),
    ]


def test_a_derivation_stands_for_what_it_gave(store: Store, tmp_path: Path) -> None:
    """An error about two outputs names the derivation too; that is what people paste."""
    tree = tree_of(store, tmp_path / "made", library="\x7fELF")
    key = record(store, "link", tree)
    assert find_tree(store, key[:12]) == find_tree(store, tree[:12]) == tree
    with pytest.raises(UsageError, match="not a tree"):
        find_tree(store, digest_of(b"\x7fELF"))


def test_without_locks_nothing_is_removed_and_nothing_is_said_to_be_garbage(store: Store, tmp_path: Path) -> None:
    """From the wrong folder no lock is read: what it pins would look like garbage."""
    pinned = store.add_bytes(b"a locked wheel, last built with long ago")
    place = ("--store", str(store.root), "--project", str(tmp_path))
    collected = run_millcert("store", "gc", *place)
    assert collected.returncode == 3
    assert "--project" in collected.stderr
    assert store.has(pinned)
    assert "no locks here were asked" in run_millcert("store", "why", pinned, *place).stderr


def test_the_commands_answer_in_text_and_json(store: Store, tmp_path: Path) -> None:
    tree = tree_of(store, tmp_path / "made", library="\x7fELF")
    record(store, "link", tree)
    place = ("--store", str(store.root))
    verified = run_millcert("store", "verify", *place, "--json")
    assert json.loads(verified.stdout)["problems"] == []
    assert "every byte is right" in run_millcert("store", "verify", *place).stdout
    why = run_millcert("store", "why", tree[:10], *place, "--project", str(tmp_path))
    assert "gave this tree" in why.stdout
    blob = store.root / "blobs" / digest_of(b"\x7fELF")[:2] / digest_of(b"\x7fELF")
    blob.chmod(0o644)
    blob.write_text("altered")
    wrong = run_millcert("store", "verify", *place)
    assert wrong.returncode == 6
    assert "2 wrong" in wrong.stdout.splitlines()[0]  # the blob, and the record of its tree
    (aside,) = (store.root / "tmp").glob("corrupt-*")
    assert f"set aside in: {aside.parent}" in wrong.stderr
    assert run_millcert("store", "verify", *place).returncode == 0
    assert run_millcert("store", "why", "ffffffffff", *place, "--project", str(tmp_path)).returncode == 2

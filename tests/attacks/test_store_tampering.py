"""Attacks on the store: altered blobs, trees and records, hostile kits, poisoned shared stores."""

from __future__ import annotations

import functools
import http.server
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.serving import answering

from millcert.errors import FetchError, HashMismatchError, MillcertError, StoreError, UnsafeArchiveError
from millcert.index.shared import Wanted, bring
from millcert.model import Digest, canonical_json, digest_of
from millcert.store import Store
from millcert.store.audit import verify
from millcert.store.kit import export_kit, import_kit

KEY = digest_of(b"a derivation")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def planted(store: Store, folder: Path) -> Digest:
    """A tree of two files with a record, checked out."""
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    (folder / "tool").write_text("#!/bin/sh\n")
    (folder / "tool").chmod(0o755)
    (folder / "sub" / "data").write_text("data")
    tree = store.add_tree(folder)
    store.put_record(KEY, tree, name="step")
    store.checkout(tree)
    return tree


def overwrite(path: Path, data: bytes) -> None:
    """Change a file's bytes in place, as root or the user whose store it is can."""
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.write(data)
    path.chmod(0o444)


def blob(store: Store, data: bytes, suffix: str = "") -> Path:
    digest = digest_of(data)
    return store.root / "blobs" / digest[:2] / f"{digest}{suffix}"


ALTERATIONS: dict[str, Callable[[Store, Digest], None]] = {
    "a blob": lambda store, tree: overwrite(blob(store, b"data"), b"evil"),
    "an executable blob": lambda store, tree: overwrite(blob(store, b"#!/bin/sh\n", ".x"), b"#!/bin/ev\n"),
    "a file of the unpacked tree": lambda store, tree: overwrite(store.root / "trees" / tree / "sub/data", b"evil"),
    "a further file": lambda store, tree: (store.root / "trees" / tree / "sub/more").write_text("x") and None,
    "a lost file": lambda store, tree: (store.root / "trees" / tree / "tool").unlink(),
    "a link for a file": lambda store, tree: replace_by_link(store.root / "trees" / tree / "sub/data"),
    "the executable bit": lambda store, tree: (store.root / "trees" / tree / "tool").chmod(0o444),
    "the description": lambda store, tree: overwrite(store.root / "blobs" / tree[:2] / tree, b'{"entries":[  '),
}


def replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


@pytest.mark.parametrize("alteration", sorted(ALTERATIONS))
def test_what_was_altered_is_never_used_and_is_made_again(store: Store, tmp_path: Path, alteration: str) -> None:
    tree = planted(store, tmp_path / "folder")
    ALTERATIONS[alteration](store, tree)
    again = Store(store.root)  # another process, which has checked nothing yet
    with pytest.raises(MillcertError):
        again.checkout(tree)
        again.tree_file(tree, "sub/data")
        again.tree_file(tree, "tool")
    assert again.add_tree(tmp_path / "folder") == tree
    assert (again.checkout(tree) / "sub/data").read_text() == "data"


@pytest.mark.parametrize("alteration", sorted(ALTERATIONS))
def test_verify_finds_it_and_the_next_time_nothing(store: Store, tmp_path: Path, alteration: str) -> None:
    tree = planted(store, tmp_path / "folder")
    assert verify(store).problems == ()
    ALTERATIONS[alteration](store, tree)
    assert verify(Store(store.root)).problems
    assert verify(Store(store.root)).problems == ()


def test_a_store_that_was_copied_shows_steps_the_same_times_and_modes(store: Store, tmp_path: Path) -> None:
    """A step can write down when a link was made, or who could read a folder."""
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "link").symlink_to("sub")
    tree = planted(store, tmp_path / "folder")
    places = [store.root / "trees" / tree / name for name in (".", "link", "sub", "sub/data", "tool")]
    wanted = [(315532800, mode) for mode in (0o755, 0o777, 0o755, 0o444, 0o555)]  # 1980, as the reference says
    assert [(state.st_mtime, state.st_mode & 0o7777) for state in map(os.lstat, places)] == wanted
    for place, mode in zip(places, (0o700, 0, 0o700, 0o640, 0o750), strict=True):
        if mode:
            place.chmod(mode)
        os.utime(place, (1, 1), follow_symlinks=False)
    Store(store.root).checkout(tree)
    assert [(state.st_mtime, state.st_mode & 0o7777) for state in map(os.lstat, places)] == wanted


def test_a_time_that_cannot_be_evened_out_is_not_shown_to_steps(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = planted(store, tmp_path / "folder")
    os.utime(store.root / "trees" / tree / "tool", (1, 1))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)
    with pytest.raises(StoreError, match="another user's"):
        Store(store.root).checkout(tree)


def test_a_record_of_another_derivation_is_not_believed(store: Store, tmp_path: Path) -> None:
    """Renaming a record is how one variant's output would be passed off as another's."""
    planted(store, tmp_path / "folder")
    other = digest_of(b"another derivation")
    (store.root / "records" / f"{KEY}.json").rename(store.root / "records" / f"{other}.json")
    assert store.record(other) is None
    assert [problem.reason for problem in verify(store).problems] == ["the record of another derivation"]


@pytest.mark.parametrize("entry", ["{outside}/x", "../../x", "a/../../x", "a//b", ".", "a\\b", "a\nb"])
def test_a_description_that_leads_out_is_not_unpacked(store: Store, tmp_path: Path, entry: str) -> None:
    digest = store.add_bytes(b"payload")
    fields = {"path": entry.format(outside=tmp_path), "kind": "file", "digest": digest, "size": 7}
    tree = store.add_bytes(canonical_json({"tree": 1, "entries": [fields]}))
    with pytest.raises(UnsafeArchiveError):
        store.checkout(tree)


def test_a_described_link_that_leads_out_is_not_unpacked(store: Store) -> None:
    links = [{"path": "a", "kind": "link", "target": "../../../etc"}]
    tree = store.add_bytes(canonical_json({"tree": 1, "entries": links}))
    with pytest.raises(UnsafeArchiveError):
        store.checkout(tree)


@pytest.mark.parametrize("target", ["{outside}", "sub", "."])
def test_a_described_file_below_a_link_is_not_unpacked(store: Store, tmp_path: Path, target: str) -> None:
    """The link alone is legal, and so is the file; unpacked in this order the file lands where the link leads."""
    file = {"path": "a/x", "kind": "file", "digest": store.add_bytes(b"payload"), "size": 7}
    entries = [{"path": "a", "kind": "link", "target": target.format(outside=tmp_path)}, file]
    with pytest.raises(UnsafeArchiveError):
        store.checkout(store.add_bytes(canonical_json({"tree": 1, "entries": entries})))
    with pytest.raises(UnsafeArchiveError):
        store.checkout(store.add_bytes(canonical_json({"tree": 1, "entries": [file, file]})))


# -- kits


def kit_of(*members: tuple[str, bytes, bytes], listed: list[bytes] | None = None) -> io.BytesIO:
    """A tar archive: a kit's list of some data, then members by name, type and data."""
    names = [data for _, _, data in members] if listed is None else listed
    blobs = [{"sha256": digest_of(data), "size": len(data), "file": "f"} for data in names]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        everything = [("millcert-kit.json", tarfile.REGTYPE, canonical_json({"kit": 1, "blobs": blobs})), *members]
        for name, kind, data in everything:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data) if kind == tarfile.REGTYPE else 0, "/etc/passwd"
            archive.addfile(info, io.BytesIO(data))
    stream.seek(0)
    return stream


def test_a_kit_brings_its_files_and_is_the_same_each_time(store: Store, tmp_path: Path) -> None:
    files = {store.add_bytes(data): f"{data!r}.whl" for data in (b"one", b"two" * 1000)}
    kits = [io.BytesIO(), io.BytesIO()]
    for kit in kits:
        export_kit(store, files, kit)
    assert kits[0].getvalue() == kits[1].getvalue()
    other = Store(tmp_path / "other")
    kits[0].seek(0)
    assert import_kit(other, kits[0]) == files
    assert {other.read(digest) for digest in files} == {b"one", b"two" * 1000}


REGULAR = tarfile.REGTYPE
HOSTILE = {
    "altered bytes": lambda: kit_of((f"blobs/{digest_of(b'good')}", REGULAR, b"evil"), listed=[b"good"]),
    "not listed": lambda: kit_of((f"blobs/{digest_of(b'more')}", REGULAR, b"more"), listed=[]),
    "a path upwards": lambda: kit_of(("../../blobs/x", REGULAR, b"x")),
    "an absolute path": lambda: kit_of(("/etc/cron.d/x", REGULAR, b"x")),
    "a link": lambda: kit_of((f"blobs/{digest_of(b'x')}", tarfile.SYMTYPE, b"x")),
    "a hard link": lambda: kit_of((f"blobs/{digest_of(b'x')}", tarfile.LNKTYPE, b"x")),
    "a device": lambda: kit_of((f"blobs/{digest_of(b'x')}", tarfile.CHRTYPE, b"x")),
    "cut off": lambda: io.BytesIO(kit_of((f"blobs/{digest_of(b'x' * 4096)}", REGULAR, b"x" * 4096)).getvalue()[:3000]),
    "less than listed": lambda: kit_of(listed=[b"promised"]),
    "no list": lambda: io.BytesIO(b"\0" * 10240),
    "not a tar archive": lambda: io.BytesIO(b"GIF89a" * 500),
    "another list": lambda: kit_of((f"blobs/{digest_of(b'x')}", REGULAR, b"x"), ("millcert-kit.json", REGULAR, b"{}")),
}


@pytest.mark.parametrize("attack", sorted(HOSTILE))
def test_a_hostile_kit_is_refused_and_leaves_nothing_wrong(store: Store, attack: str) -> None:
    with pytest.raises((UnsafeArchiveError, HashMismatchError, StoreError)):
        import_kit(store, HOSTILE[attack]())
    assert not store.has(digest_of(b"good"))
    assert list((store.root / "tmp").iterdir()) == []
    assert verify(store).problems == ()


# -- shared stores


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(params=["folder", "server"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, str]]:
    """A store of somebody else, and where it is."""
    theirs = Store(tmp_path / "theirs")
    if request.param == "folder":
        yield theirs, str(theirs.root)
        return
    handler = functools.partial(_Quiet, directory=str(theirs.root))
    with answering(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as address:
        yield theirs, address


def ignore(filename: str, received: int, size: int) -> None:
    pass


def wanted(data: bytes) -> Wanted:
    return Wanted("a.whl", digest_of(data), len(data))


def test_a_shared_store_gives_what_it_has(store: Store, shared: tuple[Store, str]) -> None:
    theirs, location = shared
    theirs.add_bytes(b"pinned")
    bring(location, [wanted(b"pinned"), wanted(b"absent")], store, ignore)
    assert store.read(digest_of(b"pinned")) == b"pinned"
    assert not store.has(digest_of(b"absent"))


def test_a_poisoned_shared_store_is_refused(store: Store, shared: tuple[Store, str]) -> None:
    theirs, location = shared
    theirs.add_bytes(b"pinned")
    overwrite(blob(theirs, b"pinned"), b"poison")
    with pytest.raises(HashMismatchError):
        bring(location, [wanted(b"pinned")], store, ignore)
    assert not store.has(digest_of(b"pinned"))


def test_what_a_shared_store_says_derivations_gave_is_not_asked(
    store: Store, shared: tuple[Store, str], tmp_path: Path
) -> None:
    """A record is a claim that no hash can check: its poisoned tree verifies as well as an honest one."""
    theirs, location = shared
    planted(theirs, tmp_path / "folder")
    theirs.add_bytes(b"pinned")
    bring(location, [wanted(b"pinned")], store, ignore)
    assert store.record(KEY) is None
    assert list((store.root / "records").iterdir()) == []


def test_a_folder_that_is_no_store_is_said_to_be_none(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="not a store"):
        bring(str(tmp_path), [wanted(b"x")], store, ignore)


def test_what_a_shared_store_lends_cannot_be_changed_later_by_its_owner(store: Store, tmp_path: Path) -> None:
    theirs = Store(tmp_path / "theirs")
    theirs.add_bytes(b"pinned")
    bring(str(theirs.root), [wanted(b"pinned")], store, ignore)
    overwrite(blob(theirs, b"pinned"), b"poison")
    assert store.read(digest_of(b"pinned")) == b"pinned"
    assert os.stat(blob(store, b"pinned")).st_nlink == 1  # noqa: PTH116 - a copy, not a link


def test_a_record_that_is_not_json_counts_as_absent(store: Store, tmp_path: Path) -> None:
    planted(store, tmp_path / "folder")
    path = store.root / "records" / f"{KEY}.json"
    for text in ("", "{", "[]", '{"key": 1}', json.dumps({"key": KEY, "tree": "../../etc"})):
        path.write_text(text)
        assert store.record(KEY) is None
        assert len(verify(store).problems) == 1
        planted_again = store.add_tree(tmp_path / "folder")
        store.put_record(KEY, planted_again)

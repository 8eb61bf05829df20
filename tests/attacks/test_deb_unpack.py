"""Hostile packages: each trick ends in UnsafeArchiveError that names the path, and nothing outside is touched."""

from __future__ import annotations

import gzip
import lzma
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.deb import CONTROL, Entry, ar, entry, make_deb, tar

from millcert.debian import Rules, unpack
from millcert.errors import UnsafeArchiveError

LINK = {"type": tarfile.SYMTYPE}
HARD = {"type": tarfile.LNKTYPE}
FOLDER = {"type": tarfile.DIRTYPE, "mode": 0o755}


def refused(tmp_path: Path, *entries: Entry, rules: Rules | None = None) -> UnsafeArchiveError:
    out = tmp_path / "root"
    out.mkdir()
    (tmp_path / "outside").mkdir()
    deb = make_deb(tmp_path / "hostile.deb", entries)
    with pytest.raises(UnsafeArchiveError, match=r"hostile\.deb") as caught:
        unpack(deb, out, rules or Rules())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hostile.deb", "outside", "root"]
    assert list((tmp_path / "outside").iterdir()) == []
    return caught.value


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../outside/x", "./../outside/x", "usr/../../outside/x", "./usr/./x", "usr//x", "./usr/\nx",
     "./usr/\x1b[2Jx", "./..", "./usr/.."],
)  # fmt: skip
def test_a_path_that_leaves_or_is_none(tmp_path: Path, name: str) -> None:
    assert "path" in refused(tmp_path, entry(name, b"x")).evidence


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("./usr/x", "../../outside"),
        ("./usr/x", "a/../../../outside"),
        ("./x", ".."),
        ("./usr/x", "/../outside"),
        ("./lib/x", "../../../outside"),
        ("./usr/x", ""),
        ("./usr/x", "a\nb"),
    ],
)
def test_a_symbolic_link_that_leaves(tmp_path: Path, name: str, target: str) -> None:
    refused(tmp_path, entry(name, **LINK, linkname=target))


def test_a_write_through_a_link_of_the_same_package(tmp_path: Path) -> None:
    refused(tmp_path, entry("./usr/d", **LINK, linkname="/etc"), entry("./usr/d/x", b"x"))


def test_a_write_through_a_link_of_an_earlier_package(tmp_path: Path) -> None:
    out = tmp_path / "root"
    out.mkdir()
    (tmp_path / "outside").mkdir()
    (out / "usr").mkdir()
    (out / "usr/d").symlink_to(tmp_path / "outside")
    with pytest.raises(UnsafeArchiveError, match="not a folder"):
        unpack(make_deb(tmp_path / "a.deb", [entry("./usr/d/x", b"x")]), out)
    with pytest.raises(UnsafeArchiveError):
        unpack(make_deb(tmp_path / "b.deb", [entry("./usr/d", **FOLDER)]), out)
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_write_over_a_link_that_leaves(tmp_path: Path) -> None:
    out = tmp_path / "root"
    (out / "usr").mkdir(parents=True)
    (tmp_path / "victim").write_text("old")
    (out / "usr/x").symlink_to(tmp_path / "victim")
    with pytest.raises(UnsafeArchiveError, match="another package"):
        unpack(make_deb(tmp_path / "a.deb", [entry("./usr/x", b"new")]), out)
    assert (tmp_path / "victim").read_text() == "old"


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside/x", "./usr/absent", "./usr", "./usr/link", "./usr/x"])
def test_a_hard_link_to_anything_but_an_earlier_file(tmp_path: Path, target: str) -> None:
    refused(tmp_path, entry("./usr", **FOLDER), entry("./usr/link", **LINK, linkname="/etc/passwd"),
            entry("./usr/x", **HARD, linkname=target))  # fmt: skip


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, b"Z"])
def test_a_device_or_something_stranger(tmp_path: Path, kind: bytes) -> None:
    error = refused(tmp_path, entry("./dev/x", type=kind, devmajor=1, devminor=1))
    assert "neither a file" in error.message


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6755])
def test_a_set_id_file(tmp_path: Path, mode: int) -> None:
    assert "set-user-id" in refused(tmp_path, entry("./usr/bin/su", b"x", mode=mode)).message


@pytest.mark.parametrize(
    "entries",
    [
        [entry("./usr/x", b"1"), entry("./usr/x", b"2")],
        [entry("./usr/x", b"1"), entry("usr/x", b"2")],
        [entry("./lib/x", b"1"), entry("./usr/lib/x", b"2")],
        [entry("./usr/x", b"1"), entry("./usr/x", **FOLDER)],
        [entry("./usr/x", **FOLDER), entry("./usr/x", b"1")],
        [entry("./usr/x", **LINK, linkname="y"), entry("./usr/x", b"1")],
        [entry("./usr/x", b"1"), entry("./usr/x/y", b"2")],
    ],
)
def test_one_path_given_twice(tmp_path: Path, entries: list[Entry]) -> None:
    refused(tmp_path, *entries)


def test_a_file_of_another_package(tmp_path: Path) -> None:
    out = tmp_path / "root"
    out.mkdir()
    unpack(make_deb(tmp_path / "a.deb", [entry("./usr/x", b"1")]), out)
    with pytest.raises(UnsafeArchiveError, match="another package"):
        unpack(make_deb(tmp_path / "b.deb", [entry("./usr/x", b"2")]), out)
    assert (out / "usr/x").read_bytes() == b"1"


@pytest.mark.parametrize("names", [("./usr/a", "./usr/A"), ("./usr/Dir/x", "./usr/dIR"), ("./usr/ß", "./usr/SS")])
def test_paths_that_differ_only_in_case(tmp_path: Path, names: tuple[str, str]) -> None:
    assert "case" in refused(tmp_path, *(entry(name, b"x") for name in names)).message


def test_a_bomb_by_size(tmp_path: Path) -> None:
    out = tmp_path / "root"
    out.mkdir()
    deb = make_deb(tmp_path / "bomb.deb", [entry("./usr/zeros", bytes(64 << 20))])
    assert deb.stat().st_size < 64 << 10
    with pytest.raises(UnsafeArchiveError, match="more than allowed"):
        unpack(deb, out, Rules(max_bytes=1 << 20))
    assert sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) <= 1 << 20


@pytest.mark.parametrize("form", ["gnu", "posix"])
def test_a_bomb_by_holes(tmp_path: Path, form: str) -> None:
    """A sparse file claims a size that no limit on the archive's bytes sees."""
    big = tmp_path / "big"
    with big.open("wb") as stream:
        stream.truncate(1 << 30)
    command = ["tar", "--sparse", f"--format={form}", "-C", str(tmp_path), "-cf", str(tmp_path / "data.tar"), "big"]
    subprocess.run(command, check=True)
    data = (tmp_path / "data.tar").read_bytes()
    assert len(data) < 1 << 20
    deb = tmp_path / "hostile.deb"
    deb.write_bytes(ar([*HONEST[:2], ("data.tar", data)]))
    (tmp_path / "root").mkdir()
    with pytest.raises(UnsafeArchiveError, match="neither a file"):
        unpack(deb, tmp_path / "root")


def test_a_bomb_by_number(tmp_path: Path) -> None:
    entries = [entry(f"./usr/{number}") for number in range(101)]
    assert "members" in refused(tmp_path, *entries, rules=Rules(max_members=100)).message


def test_a_bomb_in_the_control_member(tmp_path: Path) -> None:
    control = tar([entry("./control", CONTROL.encode() + b"X" * (20 << 20))])
    deb = tmp_path / "hostile.deb"
    deb.write_bytes(
        ar([("debian-binary", b"2.0\n"), ("control.tar.xz", lzma.compress(control)), ("data.tar", tar([]))])
    )
    (tmp_path / "root").mkdir()
    with pytest.raises(UnsafeArchiveError, match="more than allowed"):
        unpack(deb, tmp_path / "root")


HONEST = [
    ("debian-binary", b"2.0\n"),
    ("control.tar", tar([entry("./control", CONTROL.encode())])),
    ("data.tar", tar([])),
]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"!<arch>\n",
        b"PK\x03\x04",
        ar(HONEST)[:-7],
        ar(HONEST) + b"trailing",
        ar(HONEST[:2]),
        ar([HONEST[0], HONEST[2], HONEST[1]]),
        ar([*HONEST, ("data.tar", tar([entry("./x", b"x")]))]),
        ar([*HONEST, ("_extra", b"x")]),
        ar([("debian-binary", b"3.0\n"), *HONEST[1:]]),
        ar([HONEST[0], HONEST[1], ("data.tar.zst", b"x")]),
        ar([HONEST[0], HONEST[1], ("data.tar.xz", b"not xz")]),
        ar([HONEST[0], HONEST[1], ("data.tar.xz", lzma.compress(tar([entry("./usr/x", b"x" * 9999)]))[:-20])]),
        ar([HONEST[0], HONEST[1], ("data.tar.gz", gzip.compress(tar([entry("./usr/x", b"x" * 9999)]))[:-20])]),
        ar([HONEST[0], HONEST[1], ("data.tar.xz", lzma.compress(tar([])) + b"hidden")]),
        ar([HONEST[0], HONEST[1], ("data.tar.gz", gzip.compress(tar([])) + b"hidden")]),
        ar([HONEST[0], HONEST[1], ("data.tar", tar([]) + bytes(1 << 20) + b"hidden")]),
        ar([HONEST[0], ("control.tar", tar([entry("./control", CONTROL.encode())] * 2)), HONEST[2]]),
        ar([HONEST[0], ("control.tar", tar([entry("./control", **LINK, linkname="x")])), HONEST[2]]),
        ar([HONEST[0], HONEST[1], ("data.tar", b"not a tar file at all" * 100)]),
        ar([HONEST[0], ("control.tar", tar([])), HONEST[2]]),
        ar([HONEST[0], ("control.tar", tar([entry("./control", b"Package: thing\n")])), HONEST[2]]),
        ar([HONEST[0], ("control.tar", tar([entry("./control", b"\xff\xfe")])), HONEST[2]]),
        ar([HONEST[0], ("control.tar", tar([entry("./control", CONTROL.encode() + b"Package: evil\n")])), HONEST[2]]),
        ar(HONEST).replace(b"`\n", b"``", 1),
    ],
)
def test_what_is_no_package(tmp_path: Path, data: bytes) -> None:
    deb = tmp_path / "hostile.deb"
    deb.write_bytes(data)
    (tmp_path / "root").mkdir()
    with pytest.raises(UnsafeArchiveError, match=r"hostile\.deb"):
        unpack(deb, tmp_path / "root")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_package_gives_a_typed_error_or_the_same_files(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    deb = make_deb(
        folder / "a.deb", [entry("./usr/x", b"x" * 100), entry("./usr/y", **LINK, linkname="x")], compression=""
    )
    body = bytearray(deb.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    deb.write_bytes(body)
    (folder / "root").mkdir()
    try:
        unpack(deb, folder / "root")
    except UnsafeArchiveError:
        return
    assert {path.name for path in folder.iterdir()} == {"a.deb", "root"}

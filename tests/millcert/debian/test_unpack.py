"""The unpacker gives what dpkg-deb gives, on packages that dpkg-deb made."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.deb import CONTROL, entry, make_deb

from millcert.debian import Rules, unpack
from millcert.tree import Entry, scan_tree

dpkg_deb = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="dpkg-deb is the second opinion, and is not here"
)


def contents(folder: Path) -> dict[str, tuple[Entry, bytes]]:
    return {
        found.path: (found, (folder / found.path).read_bytes() if found.kind == "file" else b"")
        for found in scan_tree(folder)
    }


def source(folder: Path) -> Path:
    """A tree as a package has it, with no part under /lib."""
    (folder / "DEBIAN").mkdir(parents=True)
    (folder / "DEBIAN/control").write_text(CONTROL)
    for path, text, mode in [
        ("usr/bin/tool", "#!/bin/sh\n", 0o755),
        ("usr/share/doc/thing/copyright", "free\n", 0o600),
        ("usr/share/ünïcode/ä ö.txt", "x", 0o644),
        (f"usr/share/{'long' * 30}/{'name' * 40}", "y" * 100_000, 0o644),
        ("etc/thing.conf", "", 0o640),
    ]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
        (folder / path).chmod(mode)
    (folder / "usr/bin/relative").symlink_to("tool")
    (folder / "usr/share/up").symlink_to("../bin/tool")
    (folder / "usr/share/absolute").symlink_to("/usr/bin/tool")
    (folder / "usr/share/dangling").symlink_to("/nowhere")
    (folder / "usr/bin/hard").hardlink_to(folder / "usr/bin/tool")
    (folder / "var/empty").mkdir(parents=True)
    return folder


@dpkg_deb
@pytest.mark.parametrize("compression", ["xz", "gzip", "none"])
def test_the_same_tree_as_dpkg_deb(tmp_path: Path, compression: str) -> None:
    deb = tmp_path / "thing.deb"
    command = ["dpkg-deb", f"-Z{compression}", "--root-owner-group", "--build", str(source(tmp_path / "in")), str(deb)]
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run(["dpkg-deb", "-x", str(deb), str(tmp_path / "dpkg")], check=True)
    (tmp_path / "ours").mkdir()
    control = unpack(deb, tmp_path / "ours")
    (tmp_path / "ours/bin").unlink()  # the link of merged /usr, which base-files brings on a real system
    assert contents(tmp_path / "ours") == contents(tmp_path / "dpkg")
    assert (tmp_path / "ours/usr/bin/hard").stat().st_ino == (tmp_path / "ours/usr/bin/tool").stat().st_ino
    said = subprocess.run(["dpkg-deb", "-f", str(deb)], check=True, capture_output=True, text=True).stdout
    assert control.text == said == CONTROL
    assert (control.package, control.version, control.architecture) == ("thing", "1.0", "amd64")
    assert control.fields["Description"] == "a thing\n more"


def test_the_umask_of_the_caller_is_not_part_of_a_package(tmp_path: Path) -> None:
    deb = make_deb(tmp_path / "a.deb", [entry("./usr/bin/x", b"x", mode=0o755), entry("./usr/y", b"y")])
    (tmp_path / "out").mkdir()
    before = os.umask(0o077)
    try:
        unpack(deb, tmp_path / "out")
    finally:
        os.umask(before)
    assert (tmp_path / "out/usr/bin/x").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/usr/y").stat().st_mode & 0o777 == 0o644


def test_usr_is_merged(tmp_path: Path) -> None:
    folder = {"type": b"5", "mode": 0o755}
    first = make_deb(
        tmp_path / "a.deb",
        [entry("./", **folder), entry("./lib/", **folder), entry("./lib/libx.so.1", b"x"), entry("./bin/sh", b"sh"),
         entry("./lib64/ld.so", type=b"2", linkname="/lib/libx.so.1"), entry("./usr/lib/", **folder)],
    )  # fmt: skip
    second = make_deb(tmp_path / "b.deb", [entry("./usr/lib/liby.so", b"y"), entry("./lib/libz.so", b"z")], package="b")
    out = tmp_path / "out"
    out.mkdir()
    unpack(first, out)
    unpack(second, out)
    assert {path for path in contents(out) if not (out / path).is_dir()} == {
        "usr/lib/libx.so.1", "usr/bin/sh", "usr/lib64/ld.so", "usr/lib/liby.so", "usr/lib/libz.so",
    }  # fmt: skip
    assert {name: str((out / name).readlink()) for name in ("bin", "lib", "lib64")} == {
        "bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64",
    }  # fmt: skip
    assert (out / "lib/libz.so").read_text() == "z"


def test_special_bits_are_dropped_where_the_caller_says_so(tmp_path: Path) -> None:
    deb = make_deb(tmp_path / "a.deb", [entry("./usr/bin/su", b"su", mode=0o4755)])
    (tmp_path / "out").mkdir()
    unpack(deb, tmp_path / "out", Rules(set_id="drop"))
    assert (tmp_path / "out/usr/bin/su").stat().st_mode & 0o7777 == 0o755


def test_case_is_left_alone_where_the_caller_says_so(tmp_path: Path) -> None:
    deb = make_deb(tmp_path / "a.deb", [entry("./usr/a", b"1"), entry("./usr/A", b"2")])
    (tmp_path / "out").mkdir()
    unpack(deb, tmp_path / "out", Rules(case_collisions="allow"))
    assert sorted(path.name for path in (tmp_path / "out/usr").iterdir()) == ["A", "a"]

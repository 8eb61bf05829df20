"""Hostile wheels as build inputs: each is refused before, or while, it is unpacked, and nothing lands outside."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from millcert.errors import UnsafeArchiveError
from millcert.hermetic.unpack import unpack_wheel


def wheel(
    folder: Path, members: dict[str, bytes], name: str = "a-1-py3-none-any.whl", mode: int = stat.S_IFREG
) -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            info = zipfile.ZipInfo(member)
            info.external_attr = (mode | 0o644) << 16
            archive.writestr(info, data)
    return path


@pytest.mark.parametrize(
    "name", ["../evil.py", "a/../../evil.py", "/evil.py", "a//b.py", "a\\..\\evil.py", "a/./b.py", "x\ny"]
)
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(UnsafeArchiveError):
        unpack_wheel(wheel(tmp_path, {name: b"evil"}), into)
    assert not (tmp_path / "evil.py").exists()
    assert not list(into.rglob("*.py"))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_a_member_that_is_no_plain_file_is_refused(tmp_path: Path, kind: int) -> None:
    with pytest.raises(UnsafeArchiveError, match="no plain file"):
        unpack_wheel(wheel(tmp_path, {"a/link": b"/etc/passwd"}, mode=kind), tmp_path / "into")


def test_one_name_in_two_spellings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafeArchiveError, match="one name twice"):
        unpack_wheel(wheel(tmp_path, {"a/Module.py": b"1", "a/module.py": b"2"}), tmp_path / "into")


def test_a_second_wheel_cannot_replace_a_file_of_the_first(tmp_path: Path) -> None:
    into = tmp_path / "into"
    unpack_wheel(wheel(tmp_path, {"shared/__init__.py": b"", "shared/tool.py": b"honest"}), into)
    unpack_wheel(wheel(tmp_path, {"shared/__init__.py": b"", "shared/other.py": b"more"}, "b-1-py3-none-any.whl"), into)
    with pytest.raises(UnsafeArchiveError, match="different files of one name"):
        unpack_wheel(wheel(tmp_path, {"shared/tool.py": b"evil"}, "c-1-py3-none-any.whl"), into)
    assert (into / "shared" / "tool.py").read_bytes() == b"honest"


def test_a_file_cannot_take_the_place_of_a_folder(tmp_path: Path) -> None:
    into = tmp_path / "into"
    unpack_wheel(wheel(tmp_path, {"shared/tool.py": b"honest"}), into)
    with pytest.raises(UnsafeArchiveError):
        unpack_wheel(wheel(tmp_path, {"shared": b"evil"}, "b-1-py3-none-any.whl"), into)


@pytest.mark.parametrize("size", [0, 40, 100])
def test_a_truncated_wheel_is_refused(tmp_path: Path, size: int) -> None:
    path = wheel(tmp_path, {"a.py": b"x" * 1000})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UnsafeArchiveError, match="not a readable wheel"):
        unpack_wheel(path, tmp_path / "into")


def test_what_is_excluded_is_still_checked(tmp_path: Path) -> None:
    with pytest.raises(UnsafeArchiveError):
        unpack_wheel(wheel(tmp_path, {"../docs/evil": b""}), tmp_path / "into", exclude=["*docs*"])
    unpack_wheel(wheel(tmp_path, {"docs/a": b"", "kept/docs.py": b""}), tmp_path / "into", exclude=["docs/*"])
    assert [path.name for path in (tmp_path / "into").rglob("*") if path.is_file()] == ["docs.py"]

"""Wheels that two readers could read differently, or that do more than they declare: each is refused."""

from __future__ import annotations

import base64
import hashlib
import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.support.nightly import make_wheel

from millcert.install.errors import HostileWheelError
from millcert.install.wheelfile import THIRD_PARTY, check_wheel

INFO = "demo-1.0.dist-info"
NAME = "demo-1.0-py3-none-any.whl"


def line(path: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(data)}\n"


def files(**more: bytes) -> dict[str, bytes]:
    """The members of an honest wheel, RECORD not included."""
    return {
        "demo/__init__.py": b"x = 1\n",
        f"{INFO}/METADATA": b"Metadata-Version: 2.4\nName: demo\nVersion: 1.0\n",
        f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **more,
    }


def write(folder: Path, members: Mapping[str, bytes], *, record: str | None = None, method: int = 8) -> Path:
    """A wheel of these members, with a RECORD that fits unless another is given."""
    if record is None:
        record = "".join(line(path, data) for path, data in members.items()) + f"{INFO}/RECORD,,\n"
    path = folder / NAME
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
        archive.writestr(zipfile.ZipInfo(f"{INFO}/RECORD"), record, method)
    return path


def refused(path: Path, match: str, declared: tuple[str, ...] = ()) -> None:
    with pytest.raises(HostileWheelError, match=match):
        check_wheel(path, declared=declared)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_honest_wheel_is_read(tmp_path: Path, method: int) -> None:
    wheel = check_wheel(write(tmp_path, files(), method=method))
    assert (wheel.name, str(wheel.version), len(wheel.files)) == ("demo", "1.0", 3)
    assert wheel.files["demo/__init__.py"] == hashlib.sha256(b"x = 1\n").hexdigest()


class OneWay(io.RawIOBase):
    """A pipe: nothing can be corrected after it was written."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:  # type: ignore[override]  # bytes-like is enough here
        self.data += bytes(data)  # type: ignore[call-overload]  # likewise
        return len(bytes(data))  # type: ignore[call-overload]  # likewise


def streamed(folder: Path) -> Path:
    """A wheel whose sizes and checksums stand after the data of each file."""
    honest, stream = write(folder, files()), OneWay()
    with zipfile.ZipFile(honest) as source, zipfile.ZipFile(stream, "w", 8) as sink:  # type: ignore[arg-type]  # a pipe
        for entry in source.infolist():
            sink.writestr(zipfile.ZipInfo(entry.filename), source.read(entry), 8)
    honest.write_bytes(stream.data)
    return honest


def test_a_wheel_written_as_a_stream_is_read(tmp_path: Path) -> None:
    assert len(check_wheel(streamed(tmp_path)).files) == 3


def test_an_empty_file_is_read(tmp_path: Path) -> None:
    assert len(check_wheel(write(tmp_path, files(**{"demo/py.typed": b""}))).files) == 4


# -- the archive


def patched(path: Path, old: bytes, new: bytes, *, which: int = 0) -> Path:
    data = path.read_bytes()
    places = [at for at in range(len(data)) if data.startswith(old, at)]
    at = places[which]
    path.write_bytes(data[:at] + new + data[at + len(old) :])
    return path


def moved(path: Path, insert_at: Callable[[bytes], int], more: bytes) -> Path:
    """Insert bytes before the directory and correct the end record, as a careful attacker would."""
    data = path.read_bytes()
    (start,) = struct.unpack_from("<L", data, len(data) - 6)
    at = insert_at(data)
    end = bytearray(data[-22:])
    struct.pack_into("<L", end, 16, start + len(more))
    path.write_bytes(data[:at] + more + data[at:-22] + bytes(end))
    return path


def test_data_past_the_end(tmp_path: Path) -> None:
    path = write(tmp_path, files())
    path.write_bytes(path.read_bytes() + b"#!/bin/sh")
    refused(path, "past the end")


def test_a_comment_that_holds_a_second_archive(tmp_path: Path) -> None:
    path = write(tmp_path, files())
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"PK\x05\x06" + b"\0" * 18
    with zipfile.ZipFile(path) as archive:  # the reader that pip uses does not mind
        assert archive.testzip() is None
    refused(path, r"past the end|directory is not where")


def test_bytes_before_the_first_entry(tmp_path: Path) -> None:
    path = write(tmp_path, files())
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    refused(path, "directory is not where")


def test_bytes_between_entries_and_directory(tmp_path: Path) -> None:
    def directory(data: bytes) -> int:
        return int(struct.unpack_from("<L", data, len(data) - 6)[0])

    refused(moved(write(tmp_path, files()), directory, b"hidden"), "between the entries and the directory")


def test_local_header_and_directory_name_different_files(tmp_path: Path) -> None:
    refused(patched(write(tmp_path, files()), b"demo/__init__.py", b"demo/__evil__.py"), "another file")


def test_local_header_and_directory_state_different_sizes(tmp_path: Path) -> None:
    path = write(tmp_path, files(), method=zipfile.ZIP_STORED)
    size = struct.pack("<2L", 6, 6)
    refused(patched(path, size, struct.pack("<2L", 6, 5)), "another size")


def test_two_entries_of_one_name(tmp_path: Path) -> None:
    path = write(tmp_path, files())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("demo/__init__.py", b"import evil\n")
    refused(path, "two entries")


@pytest.mark.parametrize("other", ["demo/__INIT__.py", "Demo/__init__.py"])
def test_two_names_that_one_file_system_takes_for_one(tmp_path: Path, other: str) -> None:
    refused(write(tmp_path, files(**{other: b"import evil\n"})), "two entries")


def test_a_file_that_is_also_a_folder(tmp_path: Path) -> None:
    refused(write(tmp_path, files(**{"demo/__init__.py/evil.py": b""})), "also a folder")


def test_overlapping_entries(tmp_path: Path) -> None:
    path = write(tmp_path, files())
    data = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<L", data, len(data) - 6)
    second = data.index(b"PK\x01\x02", start + 4)
    struct.pack_into("<L", data, second + 42, 0)  # the second entry's header is the first's
    path.write_bytes(data)
    refused(path, "overlap|another file")


def poke(path: Path, local: int | None, central: int | None, value: bytes) -> Path:
    """Overwrite fields of the first entry, by their offsets in its local header and in the directory."""
    data = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<L", data, len(data) - 6)
    for offset, base in ((local, 0), (central, start)):
        if offset is not None:
            data[base + offset : base + offset + len(value)] = value
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("local", "central", "value", "match"),
    [
        (0, None, b"PK\x03\x05", "another file"), (6, 8, b"\x01\x00", "encrypted"),
        (6, None, b"\x02\x00", "another file"),
        (8, 10, b"\x0c\x00", "unusual way"), (22, 24, struct.pack("<L", 5), "two sizes"),
        (None, 0, b"PK\x01\x03", "damaged directory"), (None, 34, b"\x01\x00", "damaged directory"),
        (None, 32, b"\x01\x00", "damaged directory"),
    ],
)  # fmt: skip
def test_headers_that_readers_read_differently(
    tmp_path: Path, local: int | None, central: int | None, value: bytes, match: str
) -> None:
    refused(poke(write(tmp_path, files(), method=zipfile.ZIP_STORED), local, central, value), match)


def test_a_record_after_an_entry_that_disagrees(tmp_path: Path) -> None:
    path = streamed(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x07\x08") + 4] ^= 1
    path.write_bytes(data)
    refused(path, "record after an entry")


def test_bytes_between_two_entries(tmp_path: Path) -> None:
    path, hidden = write(tmp_path, files()), b"hidden"
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x03\x04", 4)
    (start,) = struct.unpack_from("<L", data, len(data) - 6)
    entry = start
    while (entry := data.find(b"PK\x01\x02", entry + 4)) >= 0:
        (offset,) = struct.unpack_from("<L", data, entry + 42)
        struct.pack_into("<L", data, entry + 42, offset + len(hidden))
    struct.pack_into("<L", data, len(data) - 6, start + len(hidden))
    path.write_bytes(data[:at] + hidden + data[at:])
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    refused(path, "belong to no entry")


def test_a_folder_that_holds_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, files())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo("demo/"), b"hidden")
    refused(path, "no plain file")


# the end record: signature, disks, entries here and in all, size and start of the directory, length of the comment
END = struct.Struct("<4s4H2LH")


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        (0, b"PK\x05\x07", "past the end"), (7, 5, "comment"), (1, 1, "several parts"), (2, 1, "several parts"),
        (3, 9, "several parts"), (4, 0xFFFF, "zip64"), (5, 0xFFFFFFFF, "zip64"), (6, 0xFFFFFFFF, "zip64"),
        (6, 1, "directory is not where"), (5, 1, "directory is not where"),
    ],
)  # fmt: skip
def test_an_end_record_that_readers_read_differently(tmp_path: Path, field: int, value: object, match: str) -> None:
    path = write(tmp_path, files())
    data = path.read_bytes()
    fields = list(END.unpack(data[-22:]))
    fields[field] = value
    if field == 4:
        fields[3] = value  # the two agree
    path.write_bytes(data[:-22] + END.pack(*fields))
    refused(path, match)


def test_fewer_entries_than_the_directory_holds(tmp_path: Path) -> None:
    path = write(tmp_path, files())
    data = path.read_bytes()
    fields = list(END.unpack(data[-22:]))
    fields[3] = fields[4] = fields[3] - 1
    path.write_bytes(data[:-22] + END.pack(*fields))
    refused(path, "more entries than")


def test_packed_data_that_goes_on_after_its_end(tmp_path: Path) -> None:
    """A reader that inflates until the stream ends sees nothing of what is hidden behind it."""
    path = write(tmp_path, files())
    data = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<L", data, len(data) - 6)
    (packed,) = struct.unpack_from("<L", data, 18)  # of the first entry
    hidden, at = b"hidden", 30 + len("demo/__init__.py") + packed
    struct.pack_into("<L", data, 18, packed + len(hidden))
    struct.pack_into("<L", data, start + 20, packed + len(hidden))
    following = start
    while (following := data.find(b"PK\x01\x02", following + 4)) >= 0:
        (offset,) = struct.unpack_from("<L", data, following + 42)
        struct.pack_into("<L", data, following + 42, offset + len(hidden))
    struct.pack_into("<L", data, len(data) - 6, start + len(hidden))
    path.write_bytes(data[:at] + hidden + data[at:])
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    refused(path, "does not end where it should")


@pytest.mark.parametrize(
    ("limit", "value", "match"),
    [("MOST_BYTES", 50, "too much"), ("_MOST_ENTRIES", 3, "as large as"), ("_MOST_DIRECTORY", 50, "as large as")],
)
def test_an_archive_beyond_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, match: str
) -> None:
    path = write(tmp_path, files())
    check_wheel(path)
    monkeypatch.setattr(f"millcert.install.ziplayout.{limit}", value)
    refused(path, match)


def test_a_bomb(tmp_path: Path) -> None:
    refused(write(tmp_path, files(**{"demo/zeros": bytes(80 << 20)})), "unpacks to too much")


def test_an_entry_that_unpacks_to_more_than_it_says(tmp_path: Path) -> None:
    path = write(tmp_path, files(**{"demo/long": b"a" * 5000}))
    data = path.read_bytes().replace(struct.pack("<L", 5000), struct.pack("<L", 4000))
    path.write_bytes(data)
    refused(path, "longer than it says")


@pytest.mark.parametrize("extra", [struct.pack("<2HQQ", 1, 16, 6, 6), struct.pack("<2HB4s", 0x7075, 5, 1, b"evil"),
                                   struct.pack("<2H", 0x9999, 50)])  # fmt: skip
def test_an_extra_field_that_changes_what_is_read(tmp_path: Path, extra: bytes) -> None:
    path = write(tmp_path, files())
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("demo/more.py")
        info.extra = extra
        archive.writestr(info, b"")
    refused(path, "extra field")


def test_a_symbolic_link(tmp_path: Path) -> None:
    path = write(tmp_path, files())
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("demo/link")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    refused(path, "no plain file")


@pytest.mark.parametrize("name", ["../evil.py", "/evil.py", "demo/../../evil.py", "demo\\..\\evil.py", "demo//evil.py"])
def test_a_path_that_leaves_the_wheel(tmp_path: Path, name: str) -> None:
    refused(write(tmp_path, files(**{name: b""})), "leaves the wheel")


def test_one_byte_of_a_stored_file_is_changed(tmp_path: Path) -> None:
    refused(patched(write(tmp_path, files(), method=0), b"x = 1", b"x = 2"), "not what its header says")


def test_a_cut_off_archive(tmp_path: Path) -> None:
    path = write(tmp_path, files())
    path.write_bytes(path.read_bytes()[:-10])
    refused(path, "past the end|zip archive")


# -- RECORD, names and what is written where


def test_a_file_that_record_does_not_name(tmp_path: Path) -> None:
    honest = "".join(line(path, data) for path, data in files().items()) + f"{INFO}/RECORD,,\n"
    refused(write(tmp_path, files(**{"demo/evil.py": b""}), record=honest), "RECORD does not name")


def test_record_names_a_file_that_is_missing(tmp_path: Path) -> None:
    record = "".join(line(p, d) for p, d in files(**{"demo/gone.py": b""}).items()) + f"{INFO}/RECORD,,\n"
    refused(write(tmp_path, files(), record=record), "not there")


@pytest.mark.parametrize("how", ["another hash", "no hash", "a weak hash", "another size", "twice"])
def test_a_record_that_is_not_exact(tmp_path: Path, how: str) -> None:
    members = files()
    first, data = next(iter(members.items()))
    good = line(first, data)
    bad = {
        "another hash": line(first, b"y = 1\n"), "no hash": f"{first},,\n",
        "another size": good.replace(",6\n", ",7\n"),
        "a weak hash": f"{first},md5={hashlib.md5(data).hexdigest()},6\n", "twice": good + good,
    }[how]  # fmt: skip
    record = bad + "".join(line(p, d) for p, d in list(members.items())[1:]) + f"{INFO}/RECORD,,\n"
    refused(write(tmp_path, members, record=record), "RECORD")


@pytest.mark.parametrize("name", ["evil.pth", "demo-1.0.data/purelib/evil.pth", "sitecustomize.py", "usercustomize.py"])
def test_code_that_runs_whenever_python_starts(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, files(**{name: b"import os\n"}))
    refused(path, "whenever Python starts")
    check_wheel(path, declared=(name,))


@pytest.mark.parametrize("name", ["demo-1.0.data/data/etc/evil", "demo-1.0.data/scripts/pip"])
def test_a_file_outside_the_packages(tmp_path: Path, name: str) -> None:
    refused(write(tmp_path, files(**{name: b"#!python\n"})), "not declared")


def test_a_third_partys_data_files_reach_no_packages(tmp_path: Path) -> None:
    name = "demo-1.0.data/data/lib/python3.11/site-packages/evil.pth"
    refused(write(tmp_path, files(**{name: b"import os\n"})), "not declared", THIRD_PARTY)
    check_wheel(write(tmp_path, files(**{"demo-1.0.data/scripts/demo": b"#!python\n"})), declared=THIRD_PARTY)


def test_a_record_with_a_line_of_two_fields(tmp_path: Path) -> None:
    record = "demo/__init__.py,sha256=abc\n"
    refused(write(tmp_path, files(), record=record), "malformed line")


def test_a_data_folder_of_another_release(tmp_path: Path) -> None:
    refused(write(tmp_path, files(**{"other-1.0.data/purelib/demo/x.py": b""})), "another release")


def test_two_dist_info_folders(tmp_path: Path) -> None:
    refused(write(tmp_path, files(**{"other-1.0.dist-info/METADATA": b"Name: other\n"})), "exactly one")


def test_a_dist_info_folder_of_another_release(tmp_path: Path) -> None:
    path = write(tmp_path, files())
    renamed = path.rename(path.with_name("demo-2.0-py3-none-any.whl"))
    refused(renamed, "dist-info folder is of another release")


def test_metadata_of_another_project(tmp_path: Path) -> None:
    other = {f"{INFO}/METADATA": b"Metadata-Version: 2.4\nName: other\nVersion: 1.0\n"}
    refused(write(tmp_path, files(**other)), "another release")


def test_a_file_name_that_promises_another_platform(tmp_path: Path) -> None:
    path = write(tmp_path, files())
    renamed = path.rename(path.with_name("demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"))
    refused(renamed, "different platforms")


def test_a_wheel_of_the_index_tests_is_fine(tmp_path: Path) -> None:
    assert check_wheel(make_wheel(tmp_path, "anvil", "2.0")).name == "anvil"

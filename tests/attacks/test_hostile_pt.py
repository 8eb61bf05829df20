"""Files made to look like PyTorch's: nothing in them is run, and each is refused with an error that says why."""

import os
import pickle
import random
import struct
import zipfile
from pathlib import Path

import pytest

from wootz.errors import CheckpointError
from wootz.serialize import load_pt


def name(module, attribute):
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def number(n):
    raw = n.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def text(s):
    return b"X" + struct.pack("<I", len(s.encode())) + s.encode()


def tuple_of(*parts):
    return b"(" + b"".join(parts) + b"t"


def call(function, *arguments):
    return function + tuple_of(*arguments) + b"R"


def storage(key="0", numel=4, kind="FloatStorage", tag="storage"):
    return tuple_of(text(tag), name("torch", kind), text(key), text("cpu"), number(numel)) + b"Q"


REBUILD = name("torch._utils", "_rebuild_tensor_v2")
ORDERED = call(name("collections", "OrderedDict"))


def tensor(offset=0, size=(2, 2), stride=(2, 1), **of):
    shape, steps = (tuple_of(*map(number, numbers)) for numbers in (size, stride))
    return call(
        name("torch._utils", "_rebuild_tensor_v2"), storage(**of), number(offset), shape, steps, b"\x89", ORDERED
    )


UINT32 = name("torch", "uint32")


def tensor_of_bytes(dtype=UINT32, offset=0, size=(2, 2), kind="UntypedStorage", numel=16):
    """As PyTorch writes the types that have no storage class."""
    data = tuple_of(text("storage"), name("torch.storage", kind), text("0"), text("cpu"), number(numel)) + b"Q"
    shape, steps = tuple_of(*map(number, size)), tuple_of(number(2), number(1))
    rebuild = name("torch._utils", "_rebuild_tensor_v3")
    return call(rebuild, data, number(offset), shape, steps, b"\x89", ORDERED, dtype)


GOOD = b"\x80\x02" + ORDERED + text("w") + tensor() + b"s."
DATA = struct.pack("<4f", 0, 1, 2, 3)


def write(path, body, entries=None, compression=zipfile.ZIP_STORED):
    entries = {"data/0": DATA, **(entries or {})}
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", body)
        for entry, data in entries.items():
            archive.writestr(f"archive/{entry}", data)
    return path


def one(body):
    return b"\x80\x02" + body + b"."


def bomb(levels):
    """A tuple of two of itself, levels deep: printing, comparing or hashing it takes 2^levels steps."""
    body = b")"
    for i in range(levels):
        body += b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86"
    return body


class Run:
    def __reduce__(self):
        return os.system, ("touch /tmp/wootz-was-run",)


def test_the_file_they_are_derived_from_loads(tmp_path):
    assert load_pt(write(tmp_path / "good.pt", GOOD))["w"].tolist() == [[0, 1], [2, 3]]
    data = {"data/0": struct.pack("<4I", 0, 1, 2, 2**32 - 1)}
    wide = load_pt(write(tmp_path / "wide.pt", one(tensor_of_bytes()), data))
    assert wide.dtype.name == "uint32" and wide.tolist() == [[0, 1], [2, 2**32 - 1]]


def test_bytes_that_are_no_whole_elements_are_refused(tmp_path):
    path = write(tmp_path / "odd.pt", one(tensor_of_bytes(numel=15)), {"data/0": bytes(15)})
    with pytest.raises(CheckpointError, match="15 bytes is to hold elements of uint32"):
        load_pt(path)


PICKLES = {
    "a command": (pickle.dumps(Run(), 2), "system, which is not on the list"),
    "a command, newer protocol": (pickle.dumps(Run(), 4), "system, which is not on the list"),
    "eval": (one(call(name("builtins", "eval"), text("1"))), "builtins.eval"),
    "getattr": (one(call(name("builtins", "getattr"), text("a"), text("b"))), "builtins.getattr"),
    "a loader of pickles": (one(call(name("torch.storage", "_load_from_bytes"), text("x"))), "_load_from_bytes"),
    "a dotted name": (one(name("torch._utils", "_rebuild_tensor_v2.__globals__")), "__globals__"),
    "a module's attribute": (one(name("collections", "OrderedDict.__init__")), "not on the list"),
    "calling a type": (one(call(name("torch", "FloatStorage"), number(1))), "no function on the list"),
    "calling text": (one(call(text("os.system"), text("id"))), "no function on the list"),
    "calling with no tuple": (one(name("collections", "OrderedDict") + text("x") + b"R"), "no function on the list"),
    "wrong arguments": (one(call(name("collections", "OrderedDict"), number(1))), "other arguments"),
    "an instance": (one(b"(ios\nsystem\n"), "opcode INST"),
    "an object": (one(b"(cos\nsystem\no"), "os.system"),
    "an object of a known name": (one(b"(ccollections\nOrderedDict\no"), "opcode OBJ"),
    "a new object": (one(name("torch", "Size") + b")\x81"), "opcode NEWOBJ"),
    "an extension": (one(b"\x82\x01"), "opcode EXT1"),
    "attributes of a tensor": (one(tensor() + b"}" + text("grad") + number(1) + b"sb"), "sets attributes of a Tensor"),
    "attributes by a list": (one(ORDERED + b"]b"), "sets attributes of a dict"),
    "items of a tensor": (one(tensor() + number(0) + number(1) + b"s"), "sets items of a Tensor"),
    "appending to a tuple": (one(b")" + number(1) + b"a"), "appends to a tuple"),
    "a key that takes for ever to hash": (one(b"}" + bomb(60) + b"Ns"), "has a tuple for a key"),
    "a size that takes for ever to print": (
        one(call(REBUILD, storage(), bomb(60), b")", b")", b"\x89", ORDERED)),
        "offset, sizes and strides",
    ),
    "a storage that takes for ever to print": (
        one(tuple_of(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), bomb(60)) + b"Q"),
        "a tuple for elements",
    ),
    "a device that takes for ever to print": (one(call(name("torch", "device"), bomb(60))), "no name and number"),
    "nothing to take": (one(b"a"), "takes a value that it did not make"),
    "a mark for a value": (one(b"(\x85"), "takes a value that it did not make"),
    "no mark": (one(b"t"), "did not mark"),
    "odd items": (one(b"}(" + number(1) + b"u"), "sets items"),
    "an unknown memory": (one(b"h\x07"), "did not store"),
    "two results": (one(b"NN"), "leaves values behind"),
    "no end": (b"\x80\x02N", "broken"),
    "no pickle": (b"\xff\xfe", "broken"),
    "empty": (b"", "broken"),
    "text of 4 GB": (one(b"X\xff\xff\xff\xff"), "broken"),
    "an unknown reference": (one(text("0") + b"Q"), "unknown way"),
    "another kind of reference": (one(storage(tag="module")), "unknown way"),
    "a storage of no type": (
        one(tuple_of(text("storage"), text("os"), text("0"), text("cpu"), number(4)) + b"Q"),
        "no type or no number",
    ),
    "a storage outside the file": (one(storage(key="../../../etc/passwd")), "no type or no number"),
    "a storage that is not there": (one(storage(key="7")), "no entry 'archive/data/7'"),
    "more elements than bytes": (one(storage(numel=5)), "5 elements of float32, and has 16 bytes"),
    "fewer elements than bytes": (one(storage(numel=3)), "3 elements"),
    "negative elements": (one(storage(numel=-4)), "-4 elements"),
    "elements that overflow": (one(storage(numel=2**62 + 4)), "elements of float32"),
    "another element size": (one(storage(kind="DoubleStorage")), "4 elements of float64"),
    "a tensor of text": (
        one(call(REBUILD, text("x"), number(0), b")", b")", b"\x89", ORDERED)),
        "no storage",
    ),
    "bytes that are not as many": (one(tensor_of_bytes(numel=12)), "12 elements of uint8, and has 16 bytes"),
    "bytes of a type that wootz lacks": (one(tensor_of_bytes(name("torch", "float8_e5m2"))), "torch.float8_e5m2"),
    "bytes of no type": (one(tensor_of_bytes(text("uint32"))), "of no type"),
    "bytes beyond the storage": (one(tensor_of_bytes(offset=1)), "reaches element 4 of a storage of 4"),
    "more bytes than the storage": (
        one(tensor_of_bytes(name("torch", "uint64"))),
        "reaches element 3 of a storage of 2",
    ),
    "bytes of another kind": (one(tensor_of_bytes(kind="TypedStorage")), "TypedStorage"),
    "a parameter of text": (one(call(name("torch._utils", "_rebuild_parameter"), text("x"))), "no tensor"),
    "a size beyond the storage": (one(tensor(size=(3, 2))), "reaches element 5 of a storage of 4"),
    "an offset beyond the storage": (one(tensor(offset=1)), "reaches element 4 of a storage of 4"),
    "a stride beyond the storage": (one(tensor(stride=(2**40, 1))), "reaches element"),
    "sizes and strides that wrap around": (one(tensor(size=(2**62, 4), stride=(4, 1))), "reaches element"),
    "a negative stride": (one(tensor(offset=3, stride=(-2, -1))), "at least 0"),
    "a negative offset": (one(tensor(offset=-1)), "at least 0"),
    "a negative size": (one(tensor(size=(-2, -2))), "at least 0"),
    "strides for other sizes": (one(tensor(stride=(1,))), "as many of both"),
    "a terabyte from four bytes": (one(tensor(size=(2**40,), stride=(0,))), "repeats elements"),
    "a thousand dimensions": (one(tensor(size=(1,) * 1000, stride=(0,) * 1000)), "1000 dimensions"),
}  # fmt: skip


@pytest.mark.parametrize("case", PICKLES)
def test_a_hostile_pickle_is_refused_with_its_reason(tmp_path, case):
    body, reason = PICKLES[case]
    with pytest.raises(CheckpointError) as caught:
        load_pt(write(tmp_path / "model.pt", body))
    assert reason in str(caught.value), caught.value
    assert not Path("/tmp/wootz-was-run").exists()


def test_a_zip_bomb_is_refused(tmp_path):
    path = write(tmp_path / "model.pt", one(storage(numel=10**7)), {"data/0": bytes(4 * 10**7)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**5
    with pytest.raises(CheckpointError, match="compressed"):
        load_pt(path)


def test_entries_that_share_their_bytes_are_refused(tmp_path):
    """A thousand names for one megabyte: a gigabyte in memory."""
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", GOOD)
        archive.writestr("archive/data/0", bytes(10**6))
        held = archive.getinfo("archive/data/0")
        for i in range(1, 1000):
            twin = zipfile.ZipInfo(f"archive/data/{i}")
            for field in ("header_offset", "file_size", "compress_size", "CRC", "compress_type"):
                setattr(twin, field, getattr(held, field))
            archive.filelist.append(twin)
    with pytest.raises(CheckpointError, match="overlap"):
        load_pt(path)


def test_one_name_for_two_entries_is_refused(tmp_path):
    path = write(tmp_path / "model.pt", GOOD)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("archive/data.pkl", PICKLES["a command"][0])
    with pytest.raises(CheckpointError, match="names an entry twice"):
        load_pt(path)


ARCHIVES = {
    "two pickles": ({"../other/data.pkl": GOOD}, "one entry is named"),
    "a program": ({"constants.pkl": b""}, "TorchScript"),
    "big-endian": ({"byteorder": b"big"}, "big-endian"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_other_archives_are_refused(tmp_path, case):
    entries, reason = ARCHIVES[case]
    path = write(tmp_path / "model.pt", GOOD, entries)
    if case == "two pickles":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("other/data.pkl", GOOD)
    with pytest.raises(CheckpointError, match=reason):
        load_pt(path)


def test_a_plain_pickle_and_no_file_at_all_are_refused(tmp_path):
    path = tmp_path / "model.pt"
    for data in (pickle.dumps(Run()), b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)):
        path.write_bytes(data)
        with pytest.raises(CheckpointError):
            load_pt(path)
    with pytest.raises(OSError):
        load_pt(tmp_path / "missing.pt")


def test_damaged_files_load_or_are_refused(tmp_path):
    """Every byte of a good file damaged in turn, and the file cut short everywhere: no other error comes out."""
    path = write(tmp_path / "model.pt", GOOD)
    good, rng, refused = path.read_bytes(), random.Random(0), 0
    damaged = [good[:i] for i in range(0, len(good), 7)]
    damaged += [good[:i] + bytes([good[i] ^ (1 << rng.randrange(8))]) + good[i + 1 :] for i in range(len(good))]
    for data in damaged:
        path.write_bytes(data)
        try:
            load_pt(path)
        except CheckpointError:
            refused += 1
    assert refused > len(damaged) / 2

"""Checkpoints made to mislead the loader: each is refused with an error that says what is wrong, and nothing is run."""

import json
import os
import pickle
import struct

import numpy as np
import pytest

import wootz
from wootz.errors import CheckpointError

GOOD = {"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}


def pack(header, data=bytes(16), length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(**changes):
    return {"w": {**GOOD["w"], **changes}}


def two(a, b):
    return {
        "a": {"dtype": "F32", "shape": [2], "data_offsets": list(a)},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": list(b)},
    }


HOSTILE = {
    "empty": (b"", "ends within its first 8 bytes"),
    "shorter than a length": (b"\x10\0\0", "ends within its first 8 bytes"),
    "header longer than the file": (pack(GOOD, length=10_000), "claims 10000 bytes, but"),
    "header of 2^63 bytes": (pack(GOOD, length=2**63), "claims 9223372036854775808 bytes"),
    "header of all ones": (pack(GOOD, length=2**64 - 1), "claims 18446744073709551615"),
    "truncated data": (pack(GOOD, bytes(15)), "ends at byte 16 of the data, which has 15"),
    "data behind the last tensor": (pack(GOOD, bytes(20)), "4 bytes after the last tensor"),
    "no JSON": (pack(b"{" + b" " * 20), "no JSON"),
    "no UTF-8": (pack(b'{"\xff\xfe": 1}'), "no JSON"),
    "JSON of another kind": (pack(b"[1, 2]"), "not an object"),
    "a tower of brackets": (pack(b"[" * 100_000), "no JSON"),
    "a name twice": (pack(b'{"w": %s, "w": %s}' % ((json.dumps(GOOD["w"]).encode(),) * 2)), "names 'w' twice"),
    "a field twice": (
        pack(b'{"w": {"dtype": "F32", "dtype": "U8", "shape": [16], "data_offsets": [0, 16]}}'),
        "names 'dtype' twice",
    ),
    "metadata of numbers": (pack({"__metadata__": {"a": 1}, **GOOD}), "strings to strings"),
    "an entry that is a number": (pack({"w": 3}), "an entry has a dtype"),
    "a field too many": (pack(entry(code="x")), "nothing else"),
    "a field missing": (pack({"w": {"dtype": "F32", "shape": [2, 2]}}), "nothing else"),
    "an unknown dtype": (pack(entry(dtype="F33")), "unknown dtype 'F33'"),
    "a dtype that is a list": (pack(entry(dtype=["F32"])), "unknown dtype"),
    "a dtype without tensors": (
        pack({"w": {"dtype": "F8_E4M3", "shape": [16], "data_offsets": [0, 16]}}),
        "F8_E4M3, which wootz has no tensor of",
    ),
    "more dimensions than tensors have": (pack(entry(shape=[1] * 15 + [2, 2])), "has 17 dimensions"),
    "bfloat16 of another length": (pack(entry(dtype="BF16")), "is not the 16 bytes"),
    "the wrong dtype for the bytes": (pack(entry(dtype="F64")), "is not the 16 bytes"),
    "a negative size": (pack(entry(shape=[-2, -2])), "a shape is a list"),
    "a fractional size": (pack(entry(shape=[2.0, 2])), "a shape is a list"),
    "a size of True": (pack(entry(shape=[4, True])), "a shape is a list"),
    "a shape that overflows 64 bits to its bytes": (pack(entry(shape=[2**62 + 1, 4])), "is not the 16 bytes"),
    "a size beyond 64 bits": (pack(entry(shape=[2**70, 0])), "a shape is a list"),
    "a thousand dimensions": (pack(entry(shape=[1] * 998 + [2, 2])), "at most 64"),
    "offsets in reverse": (pack(entry(data_offsets=[16, 0])), "a begin and an end"),
    "a negative offset": (pack(entry(data_offsets=[-16, 0])), "a begin and an end"),
    "three offsets": (pack(entry(data_offsets=[0, 8, 16])), "a begin and an end"),
    "offsets out of the file": (pack(entry(data_offsets=[2**40, 2**40 + 16])), "the data, which has 16"),
    "overlapping tensors": (pack(two((0, 8), (4, 12)), bytes(12)), "'a' and 'b' overlap at byte 4"),
    "one tensor upon the other": (pack(two((0, 8), (0, 8)), bytes(8)), "overlap"),
    "a hole": (pack(two((0, 8), (12, 20)), bytes(20)), "bytes 8 to 12 of the data belong to no tensor"),
    "a hole at the start": (pack(two((4, 12), (12, 20)), bytes(20)), "bytes 0 to 4"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_with_its_reason(tmp_path, case):
    data, reason = HOSTILE[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        wootz.load(path)
    assert reason in str(caught.value) and str(caught.value).startswith("model.safetensors: ")


def test_the_file_they_are_derived_from_loads(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(pack(GOOD, np.arange(4, dtype="<f4").tobytes()))
    assert wootz.load(path)["w"].tolist() == [[0, 1], [2, 3]]


def test_a_file_that_shrinks_after_its_header_was_checked(tmp_path, monkeypatch):
    """Another process cuts the file between the check and the reading: no tensor of what memory held before."""
    path = tmp_path / "model.safetensors"
    header = {"w": {"dtype": "F32", "shape": [1 << 18], "data_offsets": [0, 1 << 20]}}
    path.write_bytes(pack(header, bytes(1 << 20)))  # more than is read ahead
    checked = wootz.serialize.files.read_header

    def check_then_cut(file, size, name):
        entries = checked(file, size, name)
        os.truncate(path, size - 4)
        return entries

    monkeypatch.setattr(wootz.serialize.files, "read_header", check_then_cut)
    with pytest.raises(CheckpointError, match="'w': the file ended while it was read"):
        wootz.load(path)


def test_a_header_that_claims_much_is_not_allocated(tmp_path):
    """A sparse file of 1 TB whose header claims most of it: refused by its length alone."""
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 10**11))
        file.truncate(10**12)
    with pytest.raises(CheckpointError, match="the limit is 100000000"):
        wootz.load(path)


def test_a_pickle_is_not_run(tmp_path):
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(marker),)

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps({"w": Payload()}))
    with pytest.raises(CheckpointError):
        wootz.load(path)
    assert not marker.exists()


def test_a_state_of_the_wrong_shape_changes_nothing(tmp_path):
    model = wootz.nn.Linear(3, 2)
    before = [p.detach().clone() for p in model.parameters()]
    wootz.save({"weight": wootz.zeros(2, 3), "bias": wootz.zeros(3)}, tmp_path / "bad.safetensors")
    with pytest.raises(wootz.errors.StateDictError, match=r"size mismatch for bias: .* \(3,\) .* \(2,\)"):
        model.load_state_dict(wootz.load(tmp_path / "bad.safetensors"))
    assert all((p == q).all().item() for p, q in zip(model.parameters(), before, strict=True))

"""Strict JSON: whatever two parsers could read differently is refused, everything else is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millcert.attest.strictjson import NotStrictError, parse


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b'{"a":1}x', "not JSON"),
        (b'{"a":1,}', "not JSON"),
        (b"\xff", "not UTF-8"),
        (b'\xef\xbb\xbf{"a":1}', "not JSON"),
        (b'{"a":1,"a":2}', "twice"),
        (b'{"a":{"b":1,"b":1}}', "twice"),
        (b'{"a":1,"\\u0061":1}', "twice"),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"\\udfff":1}', "surrogate"),
        (b"[" * 65 + b"]" * 65, "deep"),
        (b"[" * 200_000, "deep"),
        (b"9" * 5000, "digits"),
        (b" " * 4096 + b"1", "allowed"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(data: bytes, reason: str) -> None:
    limit = 4096 if reason == "allowed" else 1 << 20
    with pytest.raises(NotStrictError, match=reason):
        parse(data, limit=limit)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a":{"a":1}}', {"a": {"a": 1}}),
        (b'["\\ud83d\\ude00"]', ["\N{GRINNING FACE}"]),
        (b"[" * 63 + b"]" * 63, None),
        (b" " * 4095 + b"1", 1),
    ],
)
def test_what_is_unambiguous_is_read(data: bytes, value: object) -> None:
    found = parse(data, limit=4096)
    assert value is None or found == value


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(_JSON.filter(lambda value: "Infinity" not in json.dumps(value)))
def test_it_reads_what_the_standard_library_writes(value: Any) -> None:
    assert parse(json.dumps(value).encode(), limit=1 << 20) == value

"""JSON from outside, read so that no two parsers can disagree on what it says.

Refused: duplicate keys, NaN and infinities, a byte-order mark, invalid UTF-8, unpaired surrogates, nesting
deeper than 64, and anything over the caller's size limit (RFC 8259, sections 4, 8 and 9; I-JSON, RFC 7493).
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

__all__ = ["NotStrictError", "parse"]

_DEEPEST = 64


class NotStrictError(ValueError):
    """Why the bytes were refused."""


def parse(data: bytes, *, limit: int) -> Any:
    """The value of a JSON text of at most ``limit`` bytes; NotStrictError says what is wrong with it."""
    if len(data) > limit:
        raise NotStrictError(f"{len(data)} bytes, more than the {limit} allowed")
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise NotStrictError("nested too deeply") from None
    except UnicodeDecodeError as error:
        raise NotStrictError(f"not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise NotStrictError(f"not JSON: {error.msg} at character {error.pos}") from None
    except NotStrictError:
        raise
    except ValueError as error:  # a number with thousands of digits
        raise NotStrictError(str(error)) from None
    _check(value, _DEEPEST)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise NotStrictError(f"the key {repeated[:80]!r} appears twice in one object")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise NotStrictError(f"{name} is not a JSON number")


def _check(value: Any, depth: int) -> None:
    if depth == 0:
        raise NotStrictError(f"nested more than {_DEEPEST} deep")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth - 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check(item, depth - 1)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotStrictError("a string with an unpaired surrogate") from None

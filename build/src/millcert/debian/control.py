"""Debian control data: stanzas of ``Key: value`` with continuation lines (Debian policy 5.1)."""

from __future__ import annotations

from collections.abc import Iterator

from millcert.errors import UnsafeArchiveError

__all__ = ["parse_stanza", "stanzas"]


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Each paragraph of a control file as a table of its fields."""
    for paragraph in text.replace("\r\n", "\n").split("\n\n"):
        if paragraph.strip():
            yield parse_stanza(paragraph)


def parse_stanza(paragraph: str) -> dict[str, str]:
    """One paragraph; UnsafeArchiveError where it is malformed or holds a field twice."""
    fields: dict[str, str] = {}
    last = ""
    for line in paragraph.strip("\n").split("\n"):
        if line.startswith((" ", "\t")) and last:
            fields[last] += "\n" + line
            continue
        key, colon, value = line.partition(":")
        if not colon or not key or key.strip() != key:
            raise UnsafeArchiveError("not a control file", found=line[:120])
        if key in fields:
            raise UnsafeArchiveError("a control field given twice", field=key)
        fields[key] = value.strip()
        last = key
    return fields

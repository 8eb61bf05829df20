"""Which line of an INI or TOML file a key stands on: the standard parsers give values without places."""

from __future__ import annotations

import re

__all__ = ["LineMap"]

_HEADER = re.compile(r"\s*\[{1,2}\s*([^\]\[]{1,200}?)\s*\]{1,2}\s*(?:[#;].*)?$")
_KEY = re.compile(r"\s*[\"']?([A-Za-z0-9_.-]{1,200})[\"']?\s*[=:]")


class LineMap:
    """Lines of ``(table, how many of that name came before, key)``. A place is a hint, so it never fails."""

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[str, int, str], int] = {}
        seen: dict[str, int] = {}
        table, number = "", 0
        for line, content in enumerate(text.splitlines(), 1):
            if len(content) > 1000:
                continue
            if match := _HEADER.match(content):
                table = match[1]
                number = seen.get(table, -1) + 1
                seen[table] = number
                self._lines[table, number, ""] = line
            elif match := _KEY.match(content):
                self._lines.setdefault((table, number, match[1]), line)

    def find(self, table: str, key: str = "", number: int = 0) -> int:
        """The line of a key, else of its table, else 0."""
        return self._lines.get((table, number, key)) or self._lines.get((table, number, ""), 0)

"""Plain tables on standard output."""

from __future__ import annotations

from collections.abc import Sequence

from millcert.cli.console import results

__all__ = ["megabytes", "print_table"]

_ALARMS = ("too heavy",)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below their headings; columns of sizes are set to the right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(columns):
        sizes = bool(rows) and rows[0][number].endswith((" MB", " bytes"))
        table.add_column(column, justify="right" if sizes else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style="bold red" if cell in _ALARMS else "") for cell in row))
    results().print(table)


def megabytes(size: int) -> str:
    """A size in bytes for a person: millions of bytes."""
    return f"{size / 1e6:.2f} MB"

"""Where output goes: results to standard output, progress and errors to standard error, colour only on a terminal."""

from __future__ import annotations

import json
import sys
from functools import cache

import click
from rich.console import Console

from millcert.errors import MillcertError

__all__ = ["emit_json", "fail", "json_option", "messages", "results"]


@cache
def results() -> Console:
    """The console for what a command was asked for; tables keep their width when piped."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 200)


@cache
def messages() -> Console:
    """The console for progress and notices, on standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def emit_json(value: object) -> None:
    """One JSON document on standard output, for machines."""
    json.dump(value, sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")


def fail(error: MillcertError, *, as_json: bool) -> None:
    """Report an expected failure: JSON on standard output where that was asked for, text on standard error always."""
    if as_json:
        emit_json(error.as_dict())
    head, _, rest = str(error).partition("\n")
    messages().print("[bold red]error:[/] ", end="", soft_wrap=True)
    messages().print(head, markup=False, soft_wrap=True)
    if rest:
        messages().print(rest, markup=False, soft_wrap=True)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of text.")

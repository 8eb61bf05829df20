"""``millcert sandbox audit``: what a build step can see and do on this machine, claim by claim."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from millcert.cli.build import project_option, store_option
from millcert.cli.console import emit_json, json_option, results
from millcert.errors import SandboxError

if TYPE_CHECKING:
    from millcert.sandbox.audit import Claim

__all__ = ["commands"]


@click.group("sandbox")
def sandbox_command() -> None:
    """Look into the sandbox that builds run in."""


@sandbox_command.command("audit")
@project_option
@store_option
@json_option
def audit_command(root: Path, store_root: Path | None, as_json: bool) -> None:
    """Run a probe on the pinned root and print each claim of the sandbox with what was observed.

    Exit code 9 where a claim does not hold on this machine.
    """
    from millcert.cli.progress import BuildProgress, FetchProgress
    from millcert.hermetic.build import Builder
    from millcert.hermetic.derivation import environment_of
    from millcert.sandbox import Bubblewrap
    from millcert.sandbox.audit import audit
    from millcert.store import Store, default_root
    from millcert.wheel.project import UNPACKERS, Project

    project = Project(root.resolve())
    store = Store(store_root or default_root(os.environ))
    with FetchProgress() as fetching:
        base = project.fetch(store, [], fetching).root
    with BuildProgress() as observer:
        builder = Builder(store, Bubblewrap, UNPACKERS, project.targets.limits, observer, jobs=1)
        tree = builder.build([base])[base.name].tree
    folder = store.checkout(tree)
    claims = audit(Bubblewrap(), folder, "/usr/bin/python3.11", environment_of({}), project.targets.limits)
    if as_json:
        emit_json({"claims": [dataclasses.asdict(claim) for claim in claims]})
    else:
        _print(claims)
    if broken := [claim.text for claim in claims if not claim.held]:
        raise SandboxError(
            "the sandbox does not keep what it promises on this machine",
            claims="; ".join(broken), fix="publish nothing that this machine builds until every claim holds",
        )  # fmt: skip


def _print(claims: Sequence[Claim]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ("", "claim", "observed"):
        table.add_column(column, overflow="fold")
    for claim in claims:
        state = Text("holds", style="green") if claim.held else Text("BROKEN", style="bold red")
        table.add_row(state, Text(claim.text), Text(claim.observed))
    results().print(table)
    results().print(f"{sum(claim.held for claim in claims)} of {len(claims)} claims hold")


commands: list[click.Command] = [sandbox_command]

"""``millcert ci``: the CI matrix, written from targets.toml."""

from __future__ import annotations

from pathlib import Path

import click

from millcert.cli.build import project_option
from millcert.cli.console import results
from millcert.errors import ConfigError

__all__ = ["commands"]


@click.command("ci")
@click.option("--check", is_flag=True, help="Write nothing; fail where the workflow is not what targets.toml gives.")
@project_option
def ci_command(check: bool, root: Path) -> None:
    """Write the workflow that builds one variant a runner and joins the results."""
    from millcert.files import place
    from millcert.targets import load_targets
    from millcert.wheel.workflow import PATH, render_workflow

    text = render_workflow(load_targets(root / "ci" / "targets.toml")).encode()
    path = root / PATH
    same = path.is_file() and path.read_bytes() == text
    if check and not same:
        raise ConfigError("the workflow is not what targets.toml gives", file=path, fix="run `millcert ci`")
    if not check:
        place(path, text)
    results().print(f"{PATH}: {'unchanged' if same else 'written'}")


commands: list[click.Command] = [ci_command]

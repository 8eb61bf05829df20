"""The commands in the documentation of installing exist, with the options that it uses."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from millcert.cli import install, kit, serve

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "install-a-nightly.md"
MAIN = click.Group(commands=[*install.commands, *kit.commands, *serve.commands])


def test_documented_commands_are_understood() -> None:
    lines = re.findall(r"^    millcert (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) == 8
    for line in lines:
        words, command = shlex.split(line), MAIN
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, line
            command = found  # type: ignore[assignment]  # the last one is no group
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line

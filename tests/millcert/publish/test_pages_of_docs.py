"""The commands in the documentation exist, with the options that it uses."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from millcert.cli import keys as keys_module
from millcert.cli import publish as publish_module

DOCS = Path(__file__).parents[3] / "docs"
PAGES = ["how-to/publish-a-nightly.md", "reference/index-layout.md", "reference/keys.md"]
MAIN = click.Group(commands=[*keys_module.commands, *publish_module.commands])


def commands(page: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(r"^    millcert ((?:keys|publish|index) .*)$", text, re.MULTILINE)
    return found + re.findall(r"`millcert ((?:keys|publish|index) [a-z][^`]*)`", text)


@pytest.mark.parametrize("page", PAGES)
def test_documented_commands_are_understood(page: str) -> None:
    lines = [line for line in commands(page) if not line.startswith("publish --")]
    assert lines or page.endswith("layout.md")
    for line in lines:
        command: click.Command = MAIN
        words = shlex.split(line)
        while isinstance(command, click.Group):
            following = command.get_command(click.Context(command), words.pop(0))
            assert following is not None, line
            command = following
        options = {option for parameter in command.params for option in parameter.opts}
        used = {word for word in words if word.startswith("--")}
        assert used <= options, f"{line}: {used - options}"

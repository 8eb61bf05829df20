"""The pages about images say what the code does."""

from __future__ import annotations

import re
import tomllib

import pytest
from tests.support.hermetic import ROOT

import millcert.debian
import millcert.errors
import millcert.image.errors
from millcert.cli.image import image_group

REFERENCE = (ROOT / "docs/reference/images.md").read_text()
GUIDE = (ROOT / "docs/how-to/use-the-image.md").read_text()


def test_the_reference_lists_every_command():
    named = set(re.findall(r"`image (\w+)", REFERENCE))
    assert named == set(image_group.commands)


def test_every_option_that_the_pages_show_exists():
    for line in re.findall(r"(?:millcert|`)\s*image (\w+)([^`\n]*)", REFERENCE + GUIDE):
        command, rest = line
        known = {option for parameter in image_group.commands[command].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, line


@pytest.mark.parametrize(("name", "code"), re.findall(r"\| `(\w+Error)` \| (\d+) \|", REFERENCE))
def test_errors_have_the_exit_codes_of_the_table(name, code):
    places = (millcert.image.errors, millcert.errors, millcert.debian)
    error = next(getattr(place, name) for place in places if hasattr(place, name))
    assert error.exit_code == int(code)


def test_the_table_has_every_error_of_images():
    assert {name for name in millcert.image.errors.__all__ if f"`{name}`" not in REFERENCE} == set()


def test_slim_images_lack_no_more_of_cupy_than_the_path_without_a_compiler():
    page = (ROOT / "docs/decisions/0013-cuda-without-jit.md").read_text()
    told = tomllib.loads(page.partition("```toml")[2].partition("```")[0])["cupy"]
    unused = {*told["unused_modules"], *told["unused_files"]}
    rules = tomllib.loads((ROOT / "ci/image.toml").read_text())["prune"]
    paths = {path.removeprefix("*/") for rule in rules if rule["layers"] == ["cupy-slim"] for path in rule["paths"]}
    assert len(paths) > 10
    assert {path for path in paths if path not in unused and path[:-2].replace("/", ".") not in unused} == set()


def test_what_the_page_says_is_missing_from_the_standard_library_is_pruned():
    rules = tomllib.loads((ROOT / "ci/image.toml").read_text())["prune"]
    patterns = " ".join(path for rule in rules for path in rule["paths"])
    for module in (
        "sqlite3",
        "curses",
        "readline",
        "dbm",
        "nis",
        "tkinter",
        "idlelib",
        "turtle",
        "lib2to3",
        "ensurepip",
    ):
        assert module in patterns, module

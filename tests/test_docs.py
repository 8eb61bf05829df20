"""Documentation that runs: the architecture, every link between pages, and the list of decisions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("framework/*.md"),
        *ROOT.glob("lockfiles/*.md"),
    ]
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def test_the_architecture_holds() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "build" / "src")}
    script = [sys.executable, str(ROOT / "docs" / "architecture.py")]
    result = subprocess.run(script, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "the architecture holds\n"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        if not other.exists() or (anchor and anchor not in anchors(other)):
            broken.append(target)
    assert not broken


def test_the_list_of_decisions_is_whole() -> None:
    folder = ROOT / "docs" / "decisions"
    titles = [path.read_text(encoding="utf-8").partition("\n")[0] for path in sorted(folder.glob("0*.md"))]
    listed = re.findall(r"^- \[(.*)\]\(0", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [f"# {line}" for line in listed] == titles

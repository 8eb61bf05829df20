"""The pages about attestations say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from millcert.attest import errors, parse_policy
from millcert.attest.claims import EXTENSIONS

_DOCS = Path(__file__).parents[3] / "docs"
_REFERENCE = _DOCS / "reference" / "attestations.md"


@pytest.mark.parametrize("page", ["how-to/verify-a-wheel.md", "reference/attestations.md"])
def test_every_policy_shown_is_a_policy(page: str) -> None:
    shown = re.findall(r"```toml\n(.*?)```", (_DOCS / page).read_text(), re.DOTALL)
    assert shown
    for policy in shown:
        parse_policy(policy.encode())


def test_the_reference_names_every_refusal_and_every_extension() -> None:
    text = _REFERENCE.read_text()
    missing = [name for name in [*errors.__all__, *EXTENSIONS] if f"`{name}`" not in text and name != "printable"]
    assert missing == []


def test_the_python_shown_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", _REFERENCE.read_text(), re.DOTALL)
    (policy, *_) = re.findall(r"```toml\n(.*?)```", _REFERENCE.read_text(), re.DOTALL)
    (tmp_path / "policy.toml").write_text(policy)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "a.whl").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code, names)
    assert "no bundle" in str(names["verdict"].error)  # type: ignore[attr-defined]  # what the page's loop left

"""Dependency confusion with real pip, real uv and HTTP servers: what each alone does, and what millcert does.

That pip or uv lets the stranger in is asserted too: it shows that the attack is a real one.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.confusion import ATTACKS, Attack, run, stage


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.parametrize("who", ["pip", "uv", "millcert"])
def test_who_installs_whose_code(attack: Attack, who: str, tmp_path: Path) -> None:
    outcome = run(attack, who, tmp_path)
    assert outcome.whose == getattr(attack, who), str(outcome)


def test_millcert_never_lets_a_stranger_in() -> None:
    assert all(attack.millcert in ("ours", "nothing") for attack in ATTACKS)


def test_without_an_attack_everybody_installs_ours(tmp_path: Path) -> None:
    """The control: refusals above are not refusals of everything."""
    for who in ("pip", "uv", "millcert"):
        with stage(tmp_path / who) as prepared:
            prepared.publish("torch", "2.0.0", requires=["torchtriton"])
            prepared.publish("torchtriton", "2.0.0")
            outcome = getattr(prepared, who)()
            assert outcome.whose == "ours", str(outcome)

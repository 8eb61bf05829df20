"""Every attack of the table with real pip, real uv and HTTP servers: what each alone does, and what millcert does.

That pip or uv lets the stranger in is asserted too: it shows that the attack is a real one.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.confusion import stage
from tests.support.contest import WHO, Attack, all_attacks, markdown, run

ATTACKS = all_attacks()
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "attacks.md"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_who_installs_whose_code(attack: Attack, tmp_path: Path) -> None:
    outcomes = run(attack, tmp_path)
    assert {who: outcomes[who].whose for who in WHO} == {who: getattr(attack, who) for who in WHO}, str(outcomes)
    if attack.millcert == "nothing":
        assert outcomes["millcert"].detail.partition(":")[0] == attack.error


def test_millcert_never_lets_a_stranger_in() -> None:
    assert all(attack.millcert in ("ours", "nothing") for attack in ATTACKS)


def test_the_documentation_holds_the_table() -> None:
    assert markdown(ATTACKS) in PAGE.read_text(encoding="utf-8")


def test_without_an_attack_everybody_installs_ours(tmp_path: Path) -> None:
    """The control: refusals above are not refusals of everything."""
    with stage(tmp_path) as prepared:
        prepared.publish("torch", "2.0.0", requires=["torchtriton"])
        prepared.publish("torchtriton", "2.0.0")
        for who in WHO:
            outcome = getattr(prepared, who)()
            assert outcome.whose == "ours", str(outcome)

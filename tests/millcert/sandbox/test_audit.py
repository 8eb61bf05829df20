"""The audit of the sandbox: every claim holds here, and each one can be seen broken."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.support.hermetic import LIMITS, ROOT, Lab, run_millcert

from millcert.cli import main
from millcert.hermetic.derivation import environment_of
from millcert.sandbox import Outcome, Step
from millcert.sandbox.audit import Claim, audit, judge

PYTHON = "/usr/bin/python3.11"


class Recording:
    """The real sandbox, which remembers what the probe printed."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self.log = lab, ""

    def run(self, step: Step) -> Outcome:
        outcome = self._lab.sandbox.run(step)
        self.log = outcome.log
        return outcome

    def interrupt(self) -> None:
        pass


def test_every_claim_holds(lab: Lab) -> None:
    claims = audit(lab.sandbox, lab.root, PYTHON, environment_of({}), LIMITS)
    assert [claim for claim in claims if not claim.held] == []
    assert len(claims) >= 30


BROKEN: dict[str, Any] = {
    "interfaces": ["lo", "eth0"], "loopback": "connected", "abstract": "connected", "internet": "connected",
    "vsock": "<socket.socket>", "names": "[('93.184.216.34', 443)]", "top": ["home", "usr"], "devices": ["fd", "sda"],
    "writable": ["/out", "/tmp", "/usr"], "file": "secret", "environment": ["AWS_SECRET_ACCESS_KEY"],
    "first_process": ["/home/user/store"], "ids": [0, 0], "capabilities": ["000001ffffffffff"] * 5,
    "no_new_privileges": "0", "filter": "0", "processes": 140, "signal": "None", "settings": ["sys"],
    "setting": "written", "device_mode": "None", "node": "None", "mount": "Bad address", "namespace": "done",
    "keyring": "done", "set_id": ["/usr/bin/su"], "descriptors": [0, 1, 2, 7], "host": "laptop", "umask": "077",
    "zone": ["CET", "CEST"], "locale": "de_DE.UTF-8", "hash_seed": "random", "epoch": "", "input_times": [1795403359],
}  # fmt: skip


@pytest.fixture(scope="module")
def seen(lab: Lab) -> dict[str, Any]:
    import json

    recording = Recording(lab)
    audit(recording, lab.root, PYTHON, environment_of({}), LIMITS)
    found: dict[str, Any] = json.loads(recording.log)
    return found


@pytest.mark.parametrize("key", sorted(BROKEN))
def test_a_claim_that_is_broken_is_said_to_be(seen: dict[str, Any], key: str) -> None:
    before = judge(seen, environment_of({}))
    after = judge(seen | {key: BROKEN[key]}, environment_of({}))
    changed = [
        one for one, other in zip(after, before, strict=True) if dataclasses.astuple(one) != dataclasses.astuple(other)
    ]
    assert len(changed) == 1
    assert not changed[0].held


def test_every_observation_is_judged(seen: dict[str, Any]) -> None:
    assert set(seen) == set(BROKEN)


def test_the_command_ends_with_how_many_hold(lab: Lab) -> None:
    done = run_millcert("sandbox", "audit", "--project", str(ROOT))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{len(BROKEN)} of {len(BROKEN)} claims hold"


def test_the_command_fails_where_one_does_not(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("millcert.sandbox.audit.audit", lambda *_: [Claim("nothing leaks", "a leak", held=False)])
    with pytest.raises(SystemExit) as ended:
        main(["sandbox", "audit", "--project", str(ROOT)])
    assert ended.value.code == 9
    printed = capsys.readouterr()
    assert "BROKEN" in printed.out
    assert "nothing leaks" in printed.err

"""The builder's own part: order, look-ups and failures, over a sandbox that only writes files."""

from __future__ import annotations

import os
import resource
import select
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.hermetic import LIMITS, Lab, Quiet

from millcert.errors import BuildError, ConfigError, ProgramError, SandboxError
from millcert.hermetic.build import Builder, Built
from millcert.hermetic.derivation import FIXED_ENVIRONMENT, Command, Import, Node, Output
from millcert.sandbox import Bubblewrap, Mount, Outcome, Step
from millcert.store import Store

ROOT = Import("root", "none", ())


class Writer:
    """Stands for a sandbox: a step writes its own arguments; one called "broken" fails."""

    def run(self, step: Step) -> Outcome:
        (step.output / "said").write_text(" ".join([*step.argv, *(str(m.source.name)[:8] for m in step.mounts)]))
        return Outcome(int("broken" in step.argv), "it broke")

    def interrupt(self) -> None:
        pass


def command(name: str, *needs: str) -> Command:
    return Command(name, (name,), Output("root"), {f"/{need}": Output(need) for need in needs}, ("said",))


def build(store: Store, nodes: Sequence[Node], *, fresh: bool = False) -> tuple[dict[str, Built], list[str]]:
    observer = Quiet()
    unpackers = {"none": lambda *_: None}
    builder = Builder(store, Writer, unpackers, LIMITS, observer, jobs=2, fresh=fresh)
    return builder.build(nodes), observer.ran


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


CHAIN = [command("last", "middle", "side"), command("middle", "first"), ROOT, command("first"), command("side")]


def test_each_step_comes_after_what_it_needs_in_whatever_order_they_are_given(store: Store) -> None:
    built, ran = build(store, CHAIN)
    assert ran[0] == "root" and ran[-1] == "last" and ran.index("first") < ran.index("middle")
    assert built.keys() == {"root", "first", "middle", "side", "last"} and not any(b.cached for b in built.values())


def test_a_second_build_looks_everything_up_and_a_changed_step_runs_with_what_reads_it(store: Store) -> None:
    first, _ = build(store, CHAIN)
    second, ran = build(store, CHAIN)
    assert ran == [] and all(b.cached for b in second.values())
    assert {name: b.tree for name, b in second.items()} == {name: b.tree for name, b in first.items()}
    changed = [Command("middle", ("middle", "again"), Output("root"), {"/first": Output("first")}, ("said",))]
    _, ran = build(store, [*(node for node in CHAIN if node.name != "middle"), *changed])
    assert ran == ["middle", "last"]


def test_a_step_whose_fixed_environment_was_another_is_not_looked_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(store, CHAIN)
    monkeypatch.setitem(FIXED_ENVIRONMENT, "TZ", "Pacific/Chatham")
    _, ran = build(store, CHAIN)
    assert sorted(ran) == ["first", "last", "middle", "side"]  # what was unpacked read no environment


def test_fresh_runs_every_command_again_and_unpacks_nothing_twice(store: Store) -> None:
    build(store, CHAIN)
    built, ran = build(store, CHAIN, fresh=True)
    assert sorted(ran) == ["first", "last", "middle", "side"] and built["root"].cached


def test_a_failure_stops_what_needs_it(store: Store) -> None:
    with pytest.raises(BuildError, match="broken: the command failed"):
        build(store, [ROOT, command("broken"), command("after", "broken")])


def test_steps_that_need_each_other_are_an_error(store: Store) -> None:
    with pytest.raises(ConfigError, match="steps that need each other") as error:
        build(store, [ROOT, command("first"), command("egg", "hen"), command("hen", "egg")])
    assert error.value.evidence["steps"] == "egg, hen"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("/usr/bin/absent", "No such file or directory"),
        ("absent", "No such file or directory"),
        ("/usr/lib/python3.11/os.py", "Permission denied"),
    ],
)
def test_a_program_that_cannot_be_run_is_named_with_its_step(
    lab: Lab, store: Store, monkeypatch: pytest.MonkeyPatch, program: str, reason: str
) -> None:
    monkeypatch.setattr(Store, "checkout", lambda *_: lab.root)
    nodes = [ROOT, Command("stamp", (program, "--version"), Output("root"), {}, ())]
    with pytest.raises(ProgramError, match=r"^stamp: ") as error:
        Builder(store, Bubblewrap, {"none": lambda *_: None}, LIMITS, Quiet(), jobs=1).build(nodes)
    assert (error.value.evidence["program"], error.value.evidence["reason"]) == (program, reason)
    assert "base.in" in error.value.fix
    assert not list((store.root / "tmp").iterdir())


def test_a_sandbox_that_cannot_be_made_is_no_fault_of_the_program(lab: Lab, tmp_path: Path) -> None:
    step = replace(lab.step("pass"), mounts=(Mount(tmp_path / "absent", "/src"),))
    with pytest.raises(SandboxError, match="could not be made") as error:
        lab.sandbox.run(step)
    assert str(tmp_path / "absent") in error.value.evidence["reason"]


def test_a_sandbox_that_ends_before_it_is_let_go_is_the_same_error(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(process: int, *_: object) -> None:
        """The first process is gone before anything is done with it, as on a busy machine."""
        ended = os.pidfd_open(process)
        select.select([ended], [], [])
        os.close(ended)

    monkeypatch.setattr(resource, "prlimit", late)
    test_a_sandbox_that_cannot_be_made_is_no_fault_of_the_program(lab, tmp_path)


def test_a_step_that_speaks_as_bubblewrap_does_has_failed_by_itself(lab: Lab) -> None:
    outcome = lab.run("print('compiling'); print('bwrap: execvp x: No such file or directory'); sys.exit(1)").outcome
    assert (outcome.status, outcome.not_started) == (1, "")

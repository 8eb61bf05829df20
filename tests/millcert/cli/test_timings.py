"""Where the time of a build went: a table that stays short, a trace that a viewer can draw."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from millcert.cli.timings import longest_chain, print_timings, summarize, trace, write_trace
from millcert.hermetic.build import Built
from millcert.hermetic.derivation import Command, Import, Node, Output
from millcert.model import Digest

GPUS = {"12.6": (50, 60, 70, 80), "12.9": (70, 80, 90)}
UNITS = [f"unit_{number}" for number in range(120)]


def command(name: str, *needs: str) -> Command:
    return Command(name, (name,), Output("root"), {f"/{need}": Output(need) for need in needs}, ())


def plan() -> dict[str, Node]:
    """A thousand steps, named as those of a real plan are."""
    compiled = [f"compile-{target}-csrc-{unit}.o" for target in ("x86_64", "aarch64") for unit in UNITS[:60]]
    cubins = [
        f"cubin{'-ptx' if gpu == gpus[-1] else ''}-{version}-{gpu}-{unit}"
        for version, gpus in GPUS.items() for gpu in gpus for unit in UNITS
    ]  # fmt: skip
    commands = [
        *(command(name) for name in compiled), *(command(name) for name in cubins),
        command("link-x86_64", *compiled[:60]), command("link-aarch64", *compiled[60:]),
        command("wheel-cpu-x86_64", "link-x86_64"), command("check-wheel-cpu-x86_64", "wheel-cpu-x86_64"),
    ]  # fmt: skip
    return {node.name: node for node in (Import("root", "debian", ()), *commands)}


def scheduled(nodes: dict[str, Node], workers: int) -> dict[str, Built]:
    """A build in which every step takes a second, but root two, and a link three, by workers who never rest."""
    free = [0.0] * workers
    done: dict[str, Built] = {}
    for node in nodes.values():
        worker = free.index(min(free))
        start = max([free[worker], *(done[need].end for need in node.needs)])
        free[worker] = start + (3 if node.name.startswith("link") else 2 if node.name == "root" else 1)
        done[node.name] = Built(node.name, Digest("0" * 64), Digest("1" * 64), False, start, free[worker])
    return done


NODES = plan()
BUILT = scheduled(NODES, 3)


def test_a_thousand_steps_are_a_table_of_a_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(NODES) > 950
    print_timings(BUILT, NODES)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 20
    # root 2 s, two links 6 s, the rest a second each
    assert f"{len(NODES)} steps, {len(NODES) - 3 + 2 + 6}.0 s of work in " in lines[-2]
    assert lines[-2].endswith("; 0 looked up")


def test_each_kind_of_work_has_its_steps_and_seconds() -> None:
    work = {one.kind: (one.steps, one.seconds) for one in summarize(BUILT.values(), NODES)}
    assert work == {
        "unpack": (1, 2), "compile-x86_64": (60, 60), "compile-aarch64": (60, 60), "cubin-12.6": (480, 480),
        "cubin-12.9": (360, 360), "link": (2, 6), "wheel": (1, 1), "check-wheel": (1, 1),
    }  # fmt: skip
    ordered = [one.seconds for one in summarize(BUILT.values(), NODES)]
    assert ordered == sorted(ordered, reverse=True)


def test_the_longest_chain_is_what_had_to_wait_for_one_another() -> None:
    chain = longest_chain(BUILT, NODES)
    first, _, *rest = (one.node for one in chain)
    assert (first, rest) == ("root", ["link-x86_64", "wheel-cpu-x86_64", "check-wheel-cpu-x86_64"])
    assert sum(one.end - one.start for one in chain) == 2 + 1 + 3 + 1 + 1


def test_what_was_looked_up_is_counted_and_not_timed(capsys: pytest.CaptureFixture[str]) -> None:
    looked_up = {name: replace(one, cached=True, end=one.start) for name, one in BUILT.items()}
    print_timings(looked_up, NODES)
    assert capsys.readouterr().out == f"\nno step was run; {len(NODES)} were looked up\n"
    assert not [event for event in trace(looked_up, NODES) if event["ph"] == "X"]
    mixed = looked_up | {"link-x86_64": BUILT["link-x86_64"]}
    print_timings(mixed, NODES)
    said = capsys.readouterr().out
    assert "1 steps, 3.0 s of work" in said
    assert "longest chain 3.0 s: link-x86_64\n" in said


def test_the_trace_has_every_step_once_in_lanes_that_do_not_overlap(tmp_path: Path) -> None:
    write_trace(tmp_path / "folder" / "trace.json", BUILT, NODES)
    document = json.loads((tmp_path / "folder" / "trace.json").read_bytes())
    steps = [event for event in document["traceEvents"] if event["ph"] == "X"]
    assert Counter(event["name"] for event in steps) == dict.fromkeys(NODES, 1)
    lanes = defaultdict(list)
    for event in steps:
        assert event["ts"] == BUILT[event["name"]].start * 1e6
        lanes[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    assert len(lanes) == 3, "as many as worked"
    for spans in lanes.values():
        spans.sort()
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    named = {event["tid"] for event in document["traceEvents"] if event["name"] == "thread_name"}
    assert named == set(lanes)

"""Where the time of a build went: a short table for people, a trace for viewers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from millcert.cli.console import results
from millcert.files import place
from millcert.hermetic.build import Built
from millcert.hermetic.derivation import Import, Node

__all__ = ["Work", "longest_chain", "print_timings", "summarize", "trace", "write_trace"]

# steps of a plan come in hundreds: those of one architecture, or of one version of CUDA, are one line
_KIND = re.compile(r"(?:compile|cubin)-(?:ptx-)?[^-]+|check-wheel|python-headers|[a-z]+")


@dataclass(frozen=True)
class Work:
    """Steps of one kind that ran: how many, their seconds together, and the longest of them."""

    kind: str
    steps: int
    seconds: float
    longest: Built


def summarize(built: Iterable[Built], nodes: Mapping[str, Node]) -> list[Work]:
    """The steps that ran, by kind; the kind that took most comes first."""
    kinds: dict[str, list[Built]] = {}
    for one in _ran(built):
        kinds.setdefault(_kind(nodes[one.node]), []).append(one)
    work = [
        Work(kind, len(steps), sum(map(_seconds, steps)), max(steps, key=_seconds)) for kind, steps in kinds.items()
    ]
    return sorted(work, key=lambda one: (-one.seconds, one.kind))


def longest_chain(built: Mapping[str, Built], nodes: Mapping[str, Node]) -> list[Built]:
    """The steps that had to wait for one another and took longest together: no number of processors is quicker.

    Each of ``nodes`` comes after those that it needs.
    """
    total: dict[str, float] = {}
    before: dict[str, str] = {}
    for name, node in nodes.items():
        if node.needs:
            before[name] = max(node.needs, key=lambda need: total[need])
        total[name] = _seconds(built[name]) + (total[before[name]] if node.needs else 0)
    chain: list[Built] = []
    name = max(total, key=lambda name: total[name], default="")
    while name:
        chain.append(built[name])
        name = before.get(name, "")
    return [one for one in reversed(chain) if not one.cached]


def print_timings(built: Mapping[str, Built], nodes: Mapping[str, Node]) -> None:
    """The table, and below it how well the work was spread."""
    from rich.table import Table

    work = summarize(built.values(), nodes)
    looked_up = len(built) - sum(one.steps for one in work)
    results().print()
    if not work:
        results().print(f"no step was run; {looked_up} were looked up")
        return
    together = sum(one.seconds for one in work)
    table = Table(box=None, pad_edge=False)
    for column in ("work", "steps", "seconds", "share", "longest", ""):
        table.add_column(column, justify="left" if column in ("work", "") else "right", overflow="fold")
    for one in work:
        table.add_row(
            one.kind, str(one.steps), f"{one.seconds:.1f}", f"{one.seconds / together:.1%}",
            f"{_seconds(one.longest):.1f}", one.longest.node,
        )  # fmt: skip
    results().print(table)
    wall = max(one.end for one in built.values())
    ran = len(built) - looked_up
    results().print(f"{ran} steps, {together:.1f} s of work in {wall:.1f} s; {looked_up} looked up")
    chain = longest_chain(built, nodes)
    named = " → ".join(one.node for one in chain)
    results().print(f"longest chain {sum(map(_seconds, chain)):.1f} s: {named}", markup=False)


def write_trace(path: Path, built: Mapping[str, Built], nodes: Mapping[str, Node]) -> None:
    """The trace as a file, whole or not at all."""
    place(path, json.dumps({"traceEvents": trace(built, nodes), "displayTimeUnit": "ms"}).encode())


def trace(built: Mapping[str, Built], nodes: Mapping[str, Node]) -> Sequence[Mapping[str, object]]:
    """Events of the Trace Event Format, which Perfetto and chrome://tracing read; times in microseconds.

    Steps at the same time lie in different lanes, as few as they fit in.
    """
    ends: list[float] = []
    events: list[Mapping[str, object]] = []
    for one in sorted(_ran(built.values()), key=lambda one: one.start):
        lane = next((number for number, end in enumerate(ends) if end <= one.start), len(ends))
        ends[lane:] = [one.end, *ends[lane + 1 :]]
        events.append({
            "name": one.node, "cat": _kind(nodes[one.node]), "ph": "X", "pid": 1, "tid": lane,
            "ts": one.start * 1e6, "dur": _seconds(one) * 1e6, "args": {"derivation": one.key, "tree": one.tree},
        })  # fmt: skip
    names = [{"name": "process_name", "ph": "M", "pid": 1, "args": {"name": "millcert build"}}]
    lanes = [
        {"name": "thread_name", "ph": "M", "pid": 1, "tid": lane, "args": {"name": f"steps {lane + 1}"}}
        for lane in range(len(ends))
    ]
    return [*names, *lanes, *events]


def _kind(node: Node) -> str:
    if isinstance(node, Import):
        return "unpack"
    matched = _KIND.match(node.name)
    return matched[0].replace("-ptx", "") if matched else node.name


def _ran(built: Iterable[Built]) -> Iterable[Built]:
    return (one for one in built if not one.cached)


def _seconds(one: Built) -> float:
    return one.end - one.start

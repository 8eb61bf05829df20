"""What hermeticity costs: build times of a project's CPU wheel, as ratios.

Usage: python benchmarks/hermetic.py [--project ROOT] [--jobs N] [--sample N]. Uses the machine's store; toolchain and
run-time libraries are made first and not counted. Ratios within one run compare; times of different machines do not.
With a sample, N objects are compiled in turns inside and outside, three times: the price in a tenth of the time. What a
build does once, planning and checking the toolchain's bytes, is not in it.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from millcert.hermetic.build import Builder, Built
from millcert.hermetic.derivation import Command, Node, Output
from millcert.sandbox import Bubblewrap
from millcert.store import Store, default_root
from millcert.wheel.plan import Plan
from millcert.wheel.project import UNPACKERS, Project

ARCHITECTURE = "x86_64"


class Silent:
    """An observer of builds that says nothing."""

    def waiting(self, node: str) -> None:
        """Nothing."""

    def started(self, node: str) -> None:
        """Nothing."""

    def finished(self, built: Built) -> None:
        """Nothing."""


class Bench:
    """A project with its plan, and everything built once."""

    def __init__(self, root: Path, jobs: int) -> None:
        self.project, self.jobs = Project(root), jobs
        self.store = Store(default_root(os.environ))
        self.chosen = self.project.variants(["cpu"])
        self.toolchain = self.project.fetch(self.store, self.chosen, lambda *_: None)
        self.plan, self.built = self.build()

    def build(self) -> tuple[Plan, dict[str, Built]]:
        """Plan and build, as `millcert build cpu` does."""
        plan, _ = self.project.plan(self.store, self.toolchain, self.chosen, [ARCHITECTURE])
        return plan, self.run(plan.nodes.values())

    def run(self, nodes: Iterable[Node]) -> dict[str, Built]:
        """Build some nodes of a plan."""
        limits = self.project.targets.limits
        return Builder(self.store, Bubblewrap, UNPACKERS, limits, Silent(), jobs=self.jobs).build(nodes)

    def names(self, *starts: str) -> list[str]:
        """Steps by the beginnings of their names."""
        return [name for name in self.plan.nodes if name.startswith(starts)]

    def again(self, names: Sequence[str]) -> Cost:
        """The cost of a build that has forgotten some steps."""
        for name in names:
            self.store.forget(self.built[name].key)
        return cost(self.build)

    def planned(self, names: Sequence[str]) -> Cost:
        """The cost of some steps that a build has forgotten, their plan made before."""
        needed, todo = set(names), list(names)
        while todo:
            todo += (more := [need for need in self.plan.nodes[todo.pop()].needs if need not in needed])
            needed.update(more)
        for name in names:
            self.store.forget(self.built[name].key)
        return cost(lambda: self.run(node for name, node in self.plan.nodes.items() if name in needed))

    def folder(self, source: object) -> Path:
        """Where an input of a step lies on this machine."""
        return self.store.checkout(self.built[source.node].tree if isinstance(source, Output) else str(source))  # type: ignore[arg-type]

    def by_hand(self, names: Sequence[str], into: Path) -> Cost:
        """The cost of the same compiler commands run directly, as many at once, each with a cold cache."""
        nodes = [node for name in names if isinstance(node := self.plan.nodes[name], Command)]
        prepared = [self.prepare(node, into) for node in nodes]  # checking the store's bytes is no part of compiling

        def run() -> None:
            with ThreadPoolExecutor(self.jobs) as pool:
                for done in pool.map(lambda job: subprocess.run(job[0], cwd=job[1], env=job[2], check=False), prepared):
                    if done.returncode:
                        sys.exit(f"by hand: {done.args} failed")

        return cost(run)

    def prepare(self, node: Command, into: Path) -> tuple[list[str], Path, dict[str, str]]:
        """A step's command with the sandbox's paths replaced by the machine's."""
        places = {path: str(self.folder(source)) for path, source in node.inputs.items()}
        output = into / node.name
        output.mkdir()
        places |= {"/out": str(output), "/usr/bin/python3.11": sys.executable}

        def place(word: str) -> str:
            for path in sorted(places, key=len, reverse=True):
                for start in ("", "-I"):
                    if word == start + path or word.startswith(f"{start}{path}/"):
                        return start + places[path] + word[len(start + path) :]
            return word

        caches = {name: str(output / "cache") for name in node.environment if name.startswith("ZIG_")}
        directory = Path(places.get(node.directory, str(output)))
        return (
            [place(word) for word in node.argv],
            directory,
            {"PATH": os.environ["PATH"], "HOME": str(output), **caches},
        )


@dataclass(frozen=True)
class Cost:
    """Of a call: seconds on the wall, and seconds of processors; the second hardly depends on what else runs."""

    wall: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def over(self, other: Cost) -> str:
        """Both ratios."""
        return f"{self.wall / other.wall:.3f} wall, {self.cpu / other.cpu:.3f} processor"

    def __str__(self) -> str:
        return f"{self.wall:8.2f} s wall {self.cpu:8.2f} s processor"


def cost(work: Callable[[], object]) -> Cost:
    """What a call costs, with the processes that it starts and waits for."""
    wall, cpu = time.perf_counter(), processor_time()
    work()
    return Cost(time.perf_counter() - wall, processor_time() - cpu)


def processor_time() -> float:
    """Seconds that this process and its ended children have used."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def sample(bench: Bench, names: Sequence[str]) -> None:
    """Print the price of hermeticity over a few objects."""
    print(f"{len(names)} of the objects, {bench.jobs} at once, three times in turns", flush=True)
    bench.planned(names)  # the toolchain's bytes are checked once a process
    inside = outside = Cost(0, 0)
    for _ in range(3):
        inside += bench.planned(names)
        with tempfile.TemporaryDirectory() as folder:
            outside += bench.by_hand(names, Path(folder))
    print(f"in the sandbox                   : {inside}")
    print(f"the same by hand, no sandbox     : {outside}")
    print(f"price of hermeticity             : {inside.over(outside)}  (aim: under 1.15)")


def pip_wheel(source: Path) -> Cost | str:
    """The cost of `pip wheel` with the host's compiler, or why that cannot be had."""
    if shutil.which("c++") is None:
        return "the machine has no C++ compiler"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "source"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("build", ".build", "*.so", "__pycache__"))
        options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", folder]
        command = [sys.executable, "-m", "pip", "wheel", *options, str(copy)]
        tools = str(Path(sys.executable).parent)  # cmake and ninja of the environment
        environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
        done: list[subprocess.CompletedProcess[str]] = []
        took = cost(
            lambda: done.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=False))
        )
    return (done[0].stderr.strip().splitlines() or ["pip wheel failed"])[-1] if done[0].returncode else took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--project", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sample", type=int, default=0)
    options = parser.parse_args()
    bench = Bench(options.project.resolve(), options.jobs)
    compile_ = bench.names(f"compile-{ARCHITECTURE}-")
    if options.sample:
        sample(bench, compile_[:: -(-len(compile_) // options.sample)])
        return
    native = [*compile_, f"link-{ARCHITECTURE}"]
    print(f"{len(compile_)} objects, {options.jobs} at once, run-time libraries warm", flush=True)
    inside = bench.again(native)
    with tempfile.TemporaryDirectory() as folder:
        outside = bench.by_hand(compile_, Path(folder)) + bench.by_hand(native[-1:], Path(folder))
    print(f"compile and link, in the sandbox : {inside}")
    print(f"the same by hand, no sandbox     : {outside}")
    print(f"price of hermeticity             : {inside.over(outside)}  (aim: under 1.15)", flush=True)
    cold = bench.again(bench.names("generate-", "compile-", "link-", "stubs-", "wheel-", "check-wheel-"))
    one = bench.again([compile_[0], native[-1], *bench.names("wheel-", "check-wheel-")])
    none = bench.again([])
    print(f"cold build of the wheel, checked : {cold}")
    print(f"one source changed               : {one}   {one.over(cold)}, of cold")
    print(f"nothing changed                  : {none}   {none.over(cold)}, of cold", flush=True)
    yardstick = pip_wheel(bench.project.root / bench.project.targets.source)
    if isinstance(yardstick, str):
        print(f"pip wheel, host compiler         : skipped: {yardstick}")
    else:
        print(f"pip wheel, host compiler         : {yardstick}   cold build is {cold.over(yardstick)} of it")


if __name__ == "__main__":
    main()

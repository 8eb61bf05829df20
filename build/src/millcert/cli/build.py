"""``millcert build``: wheels of some variants into dist/, with progress, a table and the unsigned provenance."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millcert.cli.console import emit_json, json_option, messages, results
from millcert.errors import UsageError

if TYPE_CHECKING:
    from millcert.wheel.project import BuildResult, Project

__all__ = ["commands", "project_option", "run_build", "store_from_option", "store_option"]

project_option = click.option(
    "--project", "root", type=click.Path(path_type=Path, file_okay=False), default=Path(), show_default="here",
    help="The project's root: the folder with ci/targets.toml.",
)  # fmt: skip
store_option = click.option(
    "--store", "store_root", type=click.Path(path_type=Path, file_okay=False), envvar="MILLCERT_STORE",
    help="The content-addressed store (default: millcert in the user's cache folder).",
)  # fmt: skip

store_from_option = click.option(
    "--store-from", "shared", default="", metavar="URL-OR-DIR",
    help="A shared store to take pinned files from, each checked, before the network is asked.",
)  # fmt: skip


@click.command("build")
@click.argument("variants", nargs=-1)
@click.option(
    "--arch", "architectures", multiple=True, help="Only this architecture (repeatable; default: all of targets.toml)."
)
@click.option(
    "--dist", type=click.Path(path_type=Path, file_okay=False), help="Where wheels go (default: dist/ of the project)."
)
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True, help="Steps at once.")
@click.option("--fresh", is_flag=True, help="Run every step again and compare with what the store remembers.")
@click.option(
    "--timings",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Print where the time went, and write it to FILE for Perfetto or chrome://tracing.",
)
@click.option(
    "--plan", "plan_format", type=click.Choice(["json"]), help="Print the graph of steps instead of running it."
)
@click.option(
    "--builder-id",
    default="urn:millcert:builder:local",
    show_default=True,
    help="Who builds, for the provenance (a URI).",
)
@project_option
@store_option
@store_from_option
@json_option
def build_command(
    variants: tuple[str, ...], architectures: tuple[str, ...], dist: Path | None, jobs: int, fresh: bool,
    timings: Path | None, plan_format: str | None, builder_id: str, root: Path, store_root: Path | None, shared: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Build the wheels of VARIANTS (all of them when none is named) hermetically.

    Pinned inputs are fetched and checked first; then everything happens in a sandbox without a network. What was
    built before is looked up, not built again.

    \b
    Examples:
      millcert build                 every variant of ci/targets.toml
      millcert build cpu cu129       two of them
      millcert build cpu --fresh     again from nothing, every byte compared
    """
    from millcert.cli.timings import print_timings, write_trace
    from millcert.wheel.project import Project

    project = Project(root.resolve())
    chosen = project.variants(variants)
    if plan_format:
        _print_plan(project, [variant.name for variant in chosen], _architectures(project, architectures), store_root)
        return
    result = run_build(
        project, [v.name for v in chosen], _architectures(project, architectures), jobs, fresh, store_root, dist, shared
    )
    _write_provenance(project, result, builder_id)
    if timings:
        write_trace(timings, result.built, result.plan.nodes)
    rows = _rows(result)
    if as_json:
        emit_json({"wheels": rows, "commit": result.revision.commit, "dirty": result.revision.dirty})
        return
    _print_table(rows)
    if timings:
        print_timings(result.built, result.plan.nodes)
    if result.revision.dirty:
        messages().print("[yellow]uncommitted files:[/] these wheels are marked .dirty; `millcert sign` refuses them")


def _architectures(project: Project, names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in project.targets.architectures:
            known = ", ".join(project.targets.architectures)
            raise UsageError(f"there is no architecture {name!r}", expected=known, found=name)
    return list(names) or list(project.targets.architectures)


def run_build(
    project: Project, variants: Sequence[str], architectures: Sequence[str], jobs: int, fresh: bool,
    store_root: Path | None, dist: Path | None, shared: str = "",
) -> BuildResult:  # fmt: skip
    """Fetch and build with progress on standard error."""
    from millcert.cli.progress import BuildProgress, FetchProgress
    from millcert.store import Store, default_root

    store = Store(store_root or default_root(os.environ))
    chosen = project.variants(variants)
    with FetchProgress() as fetching:
        toolchain = project.fetch(store, chosen, fetching, shared)
    with BuildProgress() as observer:
        return project.build(
            store,
            toolchain,
            chosen,
            architectures,
            observer,
            jobs=jobs,
            fresh=fresh,
            dist=dist.resolve() if dist else None,
        )


def _write_provenance(project: Project, result: BuildResult, builder_id: str) -> None:
    from millcert.attest.wheel import wheel_provenance
    from millcert.files import place

    for wheel in result.wheels:
        statement = wheel_provenance(project.targets.project, wheel, result.built, result.revision, builder_id)
        place(wheel.path.with_name(f"{wheel.path.name}.provenance.json"), statement)


def _rows(result: BuildResult) -> list[dict[str, Any]]:
    return [
        {
            "variant": wheel.planned.variant,
            "architecture": wheel.planned.architecture,
            "file": wheel.path.name,
            "size": wheel.size,
            "sha256": wheel.digest,
            "seconds": round(wheel.seconds, 2),
            "state": "cached" if wheel.cached else "built",
        }
        for wheel in result.wheels
    ]


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("variant", "file", "size", "sha256", "time", ""):
        table.add_column(column, justify="right" if column in ("size", "time") else "left", overflow="fold")
    for row in rows:
        table.add_row(
            row["variant"],
            row["file"],
            f"{row['size'] / 1e6:.2f} MB",
            row["sha256"],
            f"{row['seconds']:.1f} s",
            row["state"],
        )
    results().print(table)


def _print_plan(
    project: Project, variants: Sequence[str], architectures: Sequence[str], store_root: Path | None
) -> None:
    from millcert.hermetic.derivation import Import, Output, environment_of
    from millcert.hermetic.toolchain import toolchain_of
    from millcert.store import Store, default_root

    chosen = project.variants(variants)
    store = Store(store_root or default_root(os.environ))
    packages, locks = project.locks(chosen)
    plan, _ = project.plan(store, toolchain_of(packages, locks, chosen), chosen, architectures)
    nodes: list[dict[str, Any]] = []
    for node in plan.nodes.values():
        entry: dict[str, Any] = {"name": node.name, "needs": list(node.needs)}
        if isinstance(node, Import):
            entry |= {"unpack": node.kind, "archives": [{"uri": m.uri, "sha256": m.digest} for m in node.materials]}
        else:
            inputs = {p: f"output of {s.node}" if isinstance(s, Output) else s for p, s in node.inputs.items()}
            entry |= {"argv": list(node.argv), "environment": environment_of(node.environment), "inputs": inputs}
        nodes.append(entry)
    wheels = [
        {"variant": w.variant, "architecture": w.architecture, "node": w.node, "file": w.filename} for w in plan.wheels
    ]
    emit_json({"steps": nodes, "wheels": wheels})


commands = [build_command]

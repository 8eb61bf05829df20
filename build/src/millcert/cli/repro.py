"""``millcert repro``: build every variant again from nothing under other surroundings, and compare every byte."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millcert.cli.build import project_option, store_option
from millcert.cli.console import emit_json, json_option, messages, results
from millcert.errors import NotReproducibleError, UsageError

if TYPE_CHECKING:
    from millcert.rebuild.comparison import Comparison
    from millcert.rebuild.outside import Outside, Varied
    from millcert.rebuild.run import Request, Run
    from millcert.store import Store
    from millcert.wheel.project import Project

__all__ = ["commands"]


@click.command("repro")
@click.argument("variants", nargs=-1)
@click.option("--arch", "architectures", multiple=True, help="Only this architecture (repeatable; default: all).")
@click.option(
    "--all", "everything", is_flag=True, help="One rebuild for each variation, instead of two for all of them."
)
@click.option(
    "--reuse", "reused", multiple=True, metavar="STEP",
    help="Lend this step's output to the rebuilds, unproven (repeatable; say runtime-x86_64, which takes a minute).",
)  # fmt: skip
@click.option(
    "--scratch", type=click.Path(path_type=Path, file_okay=False, exists=True), default=None,
    help="Where rebuilds work (default: the system's temporary folder).",
)  # fmt: skip
@click.option(
    "--python",
    default="",
    metavar="PATH",
    help="Another Python to rebuild under (default: another version found here).",
)
@project_option
@store_option
@json_option
def repro_command(
    variants: tuple[str, ...], architectures: tuple[str, ...], everything: bool, reused: tuple[str, ...],
    scratch: Path | None, python: str, root: Path, store_root: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Build VARIANTS (default: all) of the committed sources again, from nothing, under other surroundings.

    Directory, user, umask, locale, time zone, clock, host name, hash seed, file order, processors, host Python and
    order change from one rebuild to the next. Nothing but pinned inputs is shared. Exit code 12 on any difference.

    Two rebuilds run at once. After an interruption the same command goes on: what was finished is kept.
    """
    from millcert.rebuild.comparison import compare
    from millcert.rebuild.outside import alone, installed_pythons, is_other_python, pairwise
    from millcert.rebuild.scratch import Scratch
    from millcert.wheel.project import Project

    if python and not is_other_python(python):
        raise UsageError(
            "not another Python to rebuild under", found=python,
            expected=f"another version than {platform.python_version()} that can run millcert",
        )  # fmt: skip
    project = Project(root.resolve())
    store = _store(store_root)
    request = _request(project, variants, architectures, reused, store)
    plans = (alone if everything else pairwise)((python,) if python else installed_pythons())
    settings = {name: varied for name, _, varied in plans}
    steps = _steps(project, request)
    folders = Scratch(store, request, scratch or Path(tempfile.gettempdir()))
    try:
        runs = _build(request, steps, [(name, outside, folders.folder(name, outside)) for name, outside, _ in plans])
    except BaseException:
        messages().print("what was finished is kept: the same command goes on from there", markup=False)
        raise
    try:
        found = compare({run.name: run.files for run in runs})
        if as_json:
            emit_json(_document(found, runs, settings, reused))
        else:
            _print(found, runs, settings, reused)
        _judge(found, {run.name: run.dist for run in runs}, project.dist)
    finally:
        folders.remove()


def _store(root: Path | None) -> Store:
    from millcert.store import Store, default_root

    return Store(root or default_root(os.environ))


def _steps(project: Project, request: Request) -> int:
    """How many steps a rebuild of the request has."""
    from millcert.hermetic.toolchain import toolchain_of

    chosen = project.variants(request.variants)
    architectures = request.architectures or list(project.targets.architectures)
    plan, _ = project.plan(request.store, toolchain_of(*project.locks(chosen), chosen), chosen, architectures)
    return len(plan.nodes.keys() - set(request.reused))


def _build(request: Request, steps: int, plans: Sequence[tuple[str, Outside, Path]]) -> list[Run]:
    from millcert.cli.progress import RebuildProgress
    from millcert.rebuild.run import Builds

    with RebuildProgress([name for name, _, _ in plans], steps) as progress:
        return Builds(request, progress.heard).run(plans)


def _request(
    project: Project, variants: Sequence[str], architectures: Sequence[str], reused: Sequence[str], store: Store
) -> Request:
    from millcert.cli.progress import FetchProgress
    from millcert.hermetic.revision import read_revision
    from millcert.rebuild.run import Request

    if unknown := [name for name in architectures if name not in project.targets.architectures]:
        raise UsageError(f"there is no architecture {unknown[0]!r}", expected=", ".join(project.targets.architectures))
    chosen = project.variants(variants)
    with FetchProgress() as fetching:
        pinned = project.fetch(store, chosen, fetching).digests()
    revision = read_revision(project.root)
    if revision.dirty:
        messages().print("[yellow]uncommitted files[/] are not part of this: the commit is what is rebuilt")
    names = [variant.name for variant in chosen]
    return Request(
        project.root, revision.commit, names, list(architectures), store, pinned, list(reused), revision.remote
    )


def _document(
    found: Sequence[Comparison], runs: Sequence[Run], settings: Mapping[str, Sequence[Varied]], reused: Sequence[str]
) -> dict[str, Any]:
    return {
        "identical": sum(one.identical for one in found),
        "files": [{"file": one.file, "identical": one.identical, "sha256": dict(one.digests)} for one in found],
        "rebuilds": [
            {
                "name": run.name,
                "seconds": round(run.seconds, 1),
                "settings": {varied.name: varied.setting for varied in settings[run.name] if not varied.skipped},
                "skipped": {varied.name: varied.setting for varied in settings[run.name] if varied.skipped},
            }
            for run in runs
        ],
        "reused": list(reused),
    }


def _print(
    found: Sequence[Comparison], runs: Sequence[Run], settings: Mapping[str, Sequence[Varied]], reused: Sequence[str]
) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ("outside", *(run.name for run in runs)):
        table.add_column(column, overflow="fold")
    rows = zip(*(settings[run.name] for run in runs), strict=True)
    for row in rows:
        cells = [Text(f"skipped: {one.setting}", style="yellow") if one.skipped else Text(one.setting) for one in row]
        table.add_row(row[0].name, *cells)
    table.add_row("seconds", *(f"{run.seconds:.0f}" for run in runs))
    results().print(table)
    files = Table(box=None, pad_edge=False)
    for column in ("file", "", "sha256"):
        files.add_column(column, overflow="fold")
    for one in found:
        state = Text("identical", style="green") if one.identical else Text("DIFFERS", style="bold red")
        files.add_row(Text(one.file), state, str(next(iter(one.digests.values()))))
    results().print(files)
    identical = sum(one.identical for one in found)
    lent = f"; not rebuilt but lent: {', '.join(reused)}" if reused else ""
    results().print(f"{identical} of {len(found)} files identical in {len(runs)} rebuilds{lent}", markup=False)


def _judge(found: Sequence[Comparison], dists: Mapping[str, Path], dist: Path) -> None:
    """Raise NotReproducibleError for the first difference, both versions kept in dist/repro."""
    from millcert.rebuild.comparison import explain, first_cause

    different = [one for one in found if not one.identical]
    if not different:
        return
    # a wheel says more than the statements that follow from it
    worst = next((one for one in different if one.file.endswith(".whl")), different[0])
    first, odd = next(iter(worst.digests)), worst.odd
    kept = dist / "repro"
    for name in (first, odd):
        if (dists[name] / worst.file).is_file():
            (kept / name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(dists[name] / worst.file, kept / name / worst.file)
    pair = [kept / name / worst.file for name in (first, odd)]
    both = all(path.is_file() for path in pair)
    if both and (report := explain(*pair)):
        messages().print(report, markup=False)
    raise NotReproducibleError(
        f"{len(different)} of {len(found)} files are not the same in every rebuild",
        file=worst.file, rebuilds=f"{first}, {odd}", first_difference=first_cause(*pair) if both else "absent in one",
        kept=kept, fix="with --all each variation is tried alone, which names the one that matters",
    )  # fmt: skip


commands: list[click.Command] = [repro_command]

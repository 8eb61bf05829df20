"""``millcert store``: garbage, verification, reasons, differences, and kits for machines without a network."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from millcert.cli.build import project_option, store_option
from millcert.cli.console import emit_json, json_option, messages, results
from millcert.errors import ConfigError, HashMismatchError, UsageError

if TYPE_CHECKING:
    from millcert.model import Digest
    from millcert.store import Store

__all__ = ["commands"]

_DAY = 86400.0


@click.group("store")
def store_command() -> None:
    """Look after the content-addressed store."""


def _open(root: Path | None) -> Store:
    from millcert.store import Store, default_root

    return Store(root or default_root(os.environ))


def _pinned(project: Path, names: Iterable[str] = ()) -> dict[Digest, str]:
    """Every file that the locks of a project name: digest → lock and file name."""
    from millcert import debian, lock
    from millcert.lock.purposes import find_sources

    found: dict[Digest, str] = {}
    for source in find_sources(project / "lockfiles", tuple(names)):
        if not source.lock.is_file():
            continue
        if source.purpose == "debian":
            found |= {package.digest: package.filename for package in debian.read_lock(source.lock).packages}
        else:
            found |= {file.digest: file.filename for pin in lock.read_lock(source.lock).pins for file in pin.files}
    return found


@store_command.command("gc")
@click.option("--keep-days", type=click.FloatRange(0), default=30.0, show_default=True, help="What counts as recent.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@project_option
@store_option
@json_option
def gc_command(keep_days: float, dry_run: bool, root: Path, store_root: Path | None, as_json: bool) -> None:
    """Remove what neither the project's locks nor a recent build needs.

    Of a store that several projects share, the locks of one are read; recent builds of all are kept.
    """
    from millcert.store.garbage import collect

    if not (root / "lockfiles").is_dir():
        raise ConfigError(
            "no locks here to say what must be kept",
            folder=root.resolve() / "lockfiles", fix="run from the project's root, or pass --project",
        )  # fmt: skip
    collected = collect(_open(store_root), _pinned(root.resolve()), time.time() - keep_days * _DAY, dry_run=dry_run)
    if as_json:
        emit_json(dataclasses.asdict(collected) | {"dry_run": dry_run})
        return
    verb = "would remove" if dry_run else "removed"
    results().print(
        f"{verb} {collected.removed_blobs} blobs ({collected.removed_bytes / 1e6:.1f} MB), {collected.removed_trees} "
        f"unpacked trees, {collected.removed_records} records; kept {collected.kept_blobs} blobs "
        f"({collected.kept_bytes / 1e6:.1f} MB), {collected.kept_records} records"
    )


@store_command.command("verify")
@store_option
@json_option
def verify_command(store_root: Path | None, as_json: bool) -> None:
    """Read every byte of the store and hold it against its name.

    What is wrong is set aside, and made again by the next build. Exit code 6 where anything was wrong.
    """
    from millcert.store.audit import verify

    store = _open(store_root)
    report = verify(store)
    if as_json:
        emit_json(dataclasses.asdict(report))
    else:
        results().print(
            f"{report.blobs} blobs ({report.size / 1e6:.1f} MB), {report.trees} unpacked trees, "
            f"{report.records} records: {f'{len(report.problems)} wrong' if report.problems else 'every byte is right'}"
        )
        for problem in report.problems:
            results().print(f"{problem.path}: {problem.reason}", markup=False)
    if report.problems:
        raise HashMismatchError(
            "the store held what it should not; that was put out of use", problems=len(report.problems),
            first=f"{report.problems[0].path}: {report.problems[0].reason}", set_aside_in=store.root / "tmp",
            fix="build or fetch again; `millcert store gc` removes what was set aside",
        )  # fmt: skip


@store_command.command("why")
@click.argument("digest", metavar="HASH")
@project_option
@store_option
@json_option
def why_command(digest: str, root: Path, store_root: Path | None, as_json: bool) -> None:
    """Say who needs a blob, a tree or a derivation: locks, steps, trees. HASH may be a beginning of six digits."""
    from millcert.store.references import find_digest, references

    store = _open(store_root)
    found = find_digest(store, digest.removeprefix("sha256:").removesuffix(".x"))
    reasons = [{"holder": reference.holder, "role": reference.role} for reference in references(store, found)]
    if name := _locks_of(root.resolve()).get(found):
        reasons.insert(0, {"holder": name[0], "role": f"pins it as {name[1]}"})
    if as_json:
        emit_json({"sha256": found, "needed_by": reasons})
        return
    results().print(found)
    for reason in reasons:
        results().print(f"  {reason['holder']} {reason['role']}", markup=False)
    if not reasons:
        results().print("  nothing needs it: `millcert store gc` will remove it")
    if not (root / "lockfiles").is_dir():
        messages().print("[yellow]no locks here were asked:[/] run from the project's root, or pass --project")


def _locks_of(project: Path) -> dict[Digest, tuple[str, str]]:
    from millcert.lock.purposes import find_sources

    if not (project / "lockfiles").is_dir():
        return {}
    found: dict[Digest, tuple[str, str]] = {}
    for source in find_sources(project / "lockfiles", ()):
        for digest, filename in _pinned(project, [source.label]).items():
            found.setdefault(digest, (source.label, filename))
    return found


@store_command.command("diff")
@click.argument("first", metavar="TREE")
@click.argument("second", metavar="TREE")
@store_option
@json_option
def diff_command(first: str, second: str, store_root: Path | None, as_json: bool) -> None:
    """Compare two trees, by digest or beginning of one; a derivation stands for what it gave.

    Exit code 1 where they differ.
    """
    from millcert.store.difference import compare_trees
    from millcert.store.references import find_tree

    store = _open(store_root)
    found = list(compare_trees(store, find_tree(store, first), find_tree(store, second)))
    if as_json:
        emit_json({"differences": [dataclasses.asdict(difference) for difference in found]})
    for difference in () if as_json else found:
        results().print(f"{difference.path}: {difference.kind} {difference.detail}".rstrip(), markup=False)
    if found:
        sys.exit(1)


@store_command.command("export")
@click.option(
    "--lock", "names", multiple=True, metavar="PURPOSE[/VARIANT]", help="Which locks (default: what a build needs)."
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="The file to write (default: standard output)."
)
@project_option
@store_option
def export_command(names: Sequence[str], output: Path | None, root: Path, store_root: Path | None) -> None:
    """Write the pinned files of some locks as one tar archive, for `millcert store import` on another machine."""
    from millcert.files import replacing
    from millcert.store.kit import export_kit

    store, files = _open(store_root), _needed(root.resolve(), names)
    if output is None:
        if sys.stdout.isatty():
            raise UsageError("a kit is binary", fix="redirect it to a file, or give --output FILE")
        size = export_kit(store, files, sys.stdout.buffer)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        with replacing(output) as stream:
            size = export_kit(store, files, stream)
    messages().print(f"{len(files)} files, {size / 1e6:.1f} MB")


def _needed(project: Path, names: Sequence[str]) -> Mapping[Digest, str]:
    """The files of locks that a machine which builds would fetch."""
    from millcert import debian, lock
    from millcert.lock.purposes import find_sources

    found: dict[Digest, str] = {}
    for source in find_sources(project / "lockfiles", tuple(names) or ("toolchain", "debian/base")):
        if source.purpose == "debian":
            found |= {package.digest: package.filename for package in debian.read_lock(source.lock).packages}
        else:
            chosen = lock.select(lock.read_lock(source.lock), "x86_64")
            found |= {file.digest: file.filename for _, file in chosen}
    return found


@store_command.command("import")
@click.argument("kit", type=click.File("rb"), default="-")
@store_option
@json_option
def import_command(kit: IO[bytes], store_root: Path | None, as_json: bool) -> None:
    """Take the files of a kit into the store, each checked against its digest."""
    from millcert.store.kit import import_kit

    files = import_kit(_open(store_root), kit)
    if as_json:
        document: dict[str, Any] = {
            "files": [{"sha256": digest, "file": name} for digest, name in sorted(files.items())]
        }
        emit_json(document)
        return
    results().print(f"{len(files)} files, every one checked")


commands: list[click.Command] = [store_command]

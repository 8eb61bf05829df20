"""``millcert lock`` and ``millcert fetch``: the two commands that talk to package indexes and the Debian mirror."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millcert.cli.build import project_option, store_option
from millcert.cli.console import emit_json, json_option, messages, results

if TYPE_CHECKING:
    from millcert.index.configuration import ClientConfiguration
    from millcert.lock.purposes import LockSource
    from millcert.lock.relock import Upgrade

__all__ = ["commands"]

_BUILD_NEEDS = ("debian/base", "toolchain")


@click.command("lock")
@click.argument("locks", nargs=-1, metavar="[PURPOSE[/VARIANT]]...")
@click.option("--upgrade", "everything", is_flag=True, help="Take the newest versions that fit, not the locked ones.")
@click.option("--upgrade-package", "names", multiple=True, metavar="NAME", help="Let this project move (repeatable).")
@click.option("--check", is_flag=True, help="Write nothing; fail where a lock would change.")
@project_option
@json_option
def lock_command(
    locks: tuple[str, ...], everything: bool, names: tuple[str, ...], check: bool, root: Path, as_json: bool
) -> None:
    """Resolve lockfiles/PURPOSE/VARIANT.in to files pinned by hash (all of them when none is named).

    Every name comes from the one index that lockfiles/namespaces.toml gives it; addresses come from this machine's
    pip and apt configuration, of which nothing else is used. A lock that fails is left as it was.

    \b
    Examples:
      millcert lock                          all locks, locked versions kept where they still fit
      millcert lock runtime --upgrade        the newest versions for every runtime lock
      millcert lock debian/base              the Debian packages of the build root
      millcert lock --check                  say whether every lock is what its requirements give
    """
    from millcert.index.configuration import read_configuration
    from millcert.lock.purposes import find_sources
    from millcert.lock.relock import Upgrade
    from millcert.names import normalize

    sources = find_sources(root.resolve() / "lockfiles", locks)
    configuration = read_configuration(os.environ)
    upgrade = Upgrade(everything, frozenset(normalize(name) for name in names))
    _tell_ignored(configuration)
    rows: list[dict[str, Any]] = []
    for source in sources:
        with messages().status(f"locking {source.label}"):
            rows.append(_relock(source, root.resolve(), configuration, upgrade, check))
        if not as_json:
            _print_row(rows[-1])
    if as_json:
        emit_json({"locks": rows})


def _tell_ignored(configuration: ClientConfiguration) -> None:
    if configuration.ignored:
        messages().print(
            f"[yellow]not used for locks:[/] this machine's pip settings {', '.join(configuration.ignored)}",
            soft_wrap=True,
        )


def _relock(
    source: LockSource, root: Path, configuration: ClientConfiguration, upgrade: Upgrade, check: bool
) -> dict[str, Any]:
    if source.purpose == "debian":
        from millcert.debian.relock import relock

        changed, moves = relock(source, os.environ, check=check)
    else:
        from millcert.index.client import IndexClient
        from millcert.lock.relock import Relocker

        outcome = Relocker(root / "lockfiles", IndexClient(configuration)).relock(source, upgrade, check=check)
        changed, moves = outcome.changed, outcome.moves
    return {
        "lock": source.label,
        "changed": changed,
        "moves": [{"name": name, "from": before, "to": after} for name, before, after in moves],
    }


def _print_row(row: dict[str, Any]) -> None:
    results().print(f"{row['lock']}: {'written' if row['changed'] else 'unchanged'}", markup=False)
    for move in row["moves"]:
        results().print(f"  {move['name']} {move['from'] or '-'} → {move['to'] or '-'}", markup=False)


@click.command("fetch")
@click.argument("locks", nargs=-1, metavar="[PURPOSE[/VARIANT]]...")
@click.option("--arch", "architectures", multiple=True, help="For this architecture (repeatable; default x86_64).")
@project_option
@store_option
@json_option
def fetch_command(
    locks: tuple[str, ...], architectures: tuple[str, ...], root: Path, store_root: Path | None, as_json: bool
) -> None:
    """Bring the files of locks into the store; with none named, those that a build needs.

    Every file is checked against its locked size and sha256. An interrupted download goes on where it stopped.
    """
    from millcert import debian, index
    from millcert.cli.progress import FetchProgress
    from millcert.lock import read_lock, select
    from millcert.lock.purposes import find_sources
    from millcert.store import Store, default_root

    sources = find_sources(root.resolve() / "lockfiles", locks or _BUILD_NEEDS)
    store = Store(store_root or default_root(os.environ))
    with FetchProgress() as progress:
        wanted = [
            pair
            for source in sources
            if source.purpose != "debian"
            for architecture in architectures or ("x86_64",)
            for pair in select(read_lock(source.lock), architecture)
        ]
        index.fetch(wanted, store, progress)
        packages = [debian.read_lock(source.lock) for source in sources if source.purpose == "debian"]
        for lock in packages:
            debian.fetch(lock, store, progress)
    pinned = [(file.filename, file.digest, file.size) for _, file in wanted]
    pinned += [(package.filename, package.digest, package.size) for lock in packages for package in lock.packages]
    _report(pinned, store.root, as_json)


def _report(pinned: Sequence[tuple[str, str, int]], store: Path, as_json: bool) -> None:
    files = sorted(set(pinned))
    if as_json:
        emit_json({"files": [{"file": name, "sha256": digest, "size": size} for name, digest, size in files]})
        return
    total = sum(size for _, _, size in files)
    results().print(f"{len(files)} files, {total / 1e6:.1f} MB, are in the store at {store}", markup=False)


commands = [lock_command, fetch_command]

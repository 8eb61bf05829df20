"""``millcert guard``: where confusion is possible, who appears elsewhere under our names, and names held there."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from millcert.cli.console import emit_json, json_option, messages, results
from millcert.errors import ConfusionError, FetchError, UsageError

if TYPE_CHECKING:
    from millcert.guard import Report
    from millcert.guard.ask import Asker
    from millcert.guard.prefixes import Prefix
    from millcert.guard.watch import Outcome
    from millcert.index import ClientConfiguration
    from millcert.lock.namespaces import Namespaces

__all__ = ["commands"]

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}

namespaces_option = click.option(
    "--namespaces", "map_file", type=click.Path(path_type=Path, dir_okay=False),
    help="The namespace map (default: lockfiles/namespaces.toml here, else the one millcert ships).",
)  # fmt: skip
index_option = click.option(
    "--index", "indexes", multiple=True, metavar="NAME=ADDRESS",
    help="Where an index is, beside MILLCERT_INDEX_<NAME> and pip's own index (repeatable).",
)  # fmt: skip


@click.group("guard")
def guard_group() -> None:
    """Find and prevent dependency confusion."""


@guard_group.command("audit")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--machine/--no-machine", default=True, show_default=True,
              help="Look at this machine's pip and uv configuration and environment too.")  # fmt: skip
@click.option("--online", is_flag=True, help="Ask every merged index which of the names it has.")
@click.option("--fail-on", type=click.Choice(["error", "warning", "note", "never"]), default="warning",
              show_default=True, help="Exit with 15 where a finding is at least this bad.")  # fmt: skip
@click.option("--max-age", type=click.IntRange(1), default=30, show_default=True, metavar="DAYS",
              help="From when on a nightly is stale.")  # fmt: skip
@click.option("--sarif", "as_sarif", is_flag=True, help="Print SARIF 2.1.0 for code hosts.")
@namespaces_option
@index_option
@json_option
def audit_command(
    paths: tuple[str, ...], machine: bool, online: bool, fail_on: str, max_age: int,
    as_sarif: bool, map_file: Path | None, indexes: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Say where an installer could take a project from the wrong place, with evidence and the fix.

    Reads requirements and constraints, locks (pip, uv, Poetry, PDM, pylock.toml), pip and uv configuration, and
    installer commands in Dockerfiles, scripts and workflows: PATHs and what is below them (default: here).

    \b
    Examples:
      millcert guard audit                       this folder and this machine
      millcert guard audit --no-machine --sarif . > guard.sarif
      millcert guard audit --online --fail-on error requirements.txt
    """
    from millcert.guard import Scene, Severity, audit
    from millcert.guard.ask import known_addresses
    from millcert.guard.machine import LocalMachine, gather

    wanted = paths or (".",)
    namespaces = _namespaces(map_file, wanted)
    facts, inputs = gather(LocalMachine(os.environ), wanted, whole_machine=machine)
    configuration = _default_configuration()
    scene = Scene(
        facts, namespaces, datetime.now(UTC).date(),
        known_addresses(configuration, namespaces.upstream, _given(indexes)), timedelta(days=max_age),
        _asker(configuration) if online else None,
    )  # fmt: skip
    report = audit(scene, inputs)
    _print_report(report, as_json, as_sarif)
    if fail_on != "never" and report.breaches(Severity[fail_on.upper()]):
        sys.exit(ConfusionError.exit_code)


@guard_group.command("watch")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--state", "state_file", type=click.Path(path_type=Path, dir_okay=False), required=True,
              help="What was seen before; replaced in one step.")  # fmt: skip
@click.option("--look-alikes", "limit", type=click.IntRange(0, 1000), default=64, show_default=True,
              help="How many look-alikes of each name to ask for.")  # fmt: skip
@namespaces_option
@index_option
@json_option
def watch_command(
    names: tuple[str, ...], state_file: Path, limit: int, map_file: Path | None,
    indexes: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Ask other indexes for the owned names and their look-alikes, and report who is new.

    Other indexes are pip's own and each --index. NAMEs are owned names that only a prefix of the map covers.
    Says too whether the map's prefixes are reserved there (PEP 752).
    Exit codes: 0 nothing new; 15 somebody is new, changed, or reserved a prefix; 5 an index gave no answer.
    """
    from millcert.guard.ask import known_addresses
    from millcert.guard.prefixes import check_prefixes
    from millcert.guard.watch import read_sightings, watch, watched
    from millcert.index import read_configuration

    namespaces = _namespaces(map_file, (".",))
    configuration = read_configuration(os.environ)
    given = _given(indexes)
    addresses = known_addresses(configuration, namespaces.upstream, given)
    others = {name: addresses[name] for name in (namespaces.upstream, *given) if name not in _owners(namespaces)}
    before = read_sightings(state_file)
    with messages().status("asking"):
        ask = _asker(configuration)
        outcome = watch(watched(namespaces, names, limit), others, ask, before, datetime.now(UTC))
        prefixes = check_prefixes(namespaces, others, ask)
    outcome.sightings.write(state_file)
    _print_outcome(outcome, prefixes, as_json)
    if outcome.newcomers or outcome.changed or any(prefix.status.alarm for prefix in prefixes):
        sys.exit(ConfusionError.exit_code)
    if outcome.unavailable:
        sys.exit(FetchError.exit_code)


@guard_group.command("reserve")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("dist"), show_default=True)
@click.option("--homepage", default="", help="Where the project really is (https).")
@click.option("--on", "where", default="", metavar="INDEX", help="The index to hold it on (default: the upstream one).")
@namespaces_option
@index_option
@json_option
def reserve_command(
    names: tuple[str, ...], out: Path, homepage: str, where: str, map_file: Path | None, indexes: tuple[str, ...],
    as_json: bool,
) -> None:  # fmt: skip
    """Build the sdist and wheel that hold owned names on an index that has nothing of that name.

    Importing what they install raises an error that says where the project really is. Nothing is uploaded.
    """
    from millcert.files import write_atomically
    from millcert.guard.ask import known_addresses
    from millcert.guard.reserve import check_free, reserve
    from millcert.index import read_configuration
    from millcert.names import normalize

    namespaces = _namespaces(map_file, (".",))
    configuration = read_configuration(os.environ)
    index = where or namespaces.upstream
    addresses = known_addresses(configuration, namespaces.upstream, _given(indexes)).get(index)
    if not addresses:
        raise UsageError("where this index is is not known", index=index, fix=f"--index {index}=ADDRESS")
    ask = _asker(configuration)
    held = []
    for name in map(normalize, names):
        check_free(namespaces, name, index, ask(addresses[0], name))
        held.append(reserve(name, homepage))
    out.mkdir(parents=True, exist_ok=True)
    files = [file for reservation in held for file in (reservation.sdist, reservation.wheel)]
    for filename, data in files:
        write_atomically(out / filename, data)
    if as_json:
        emit_json({"files": [str(out / filename) for filename, _ in files]})
        return
    for filename, _ in files:
        results().print(str(out / filename), markup=False)
    messages().print("upload them with the account that owns your projects on that index, then `millcert guard watch`")


def _namespaces(map_file: Path | None, paths: Sequence[str]) -> Namespaces:
    """The map that was asked for, else one beside what is looked at, else the shipped one."""
    from millcert import guard
    from millcert.lock.namespaces import read_namespaces

    beside = [folder / "lockfiles" / "namespaces.toml" for folder in (*map(Path, paths), Path())]
    shipped = Path(guard.__file__).with_name("owned.toml")
    return read_namespaces(map_file or next((file for file in beside if file.is_file()), shipped))


def _owners(namespaces: Namespaces) -> set[str]:
    return {*namespaces.owned.values(), *namespaces.prefixes.values()}


def _given(indexes: Sequence[str]) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for text in indexes:
        name, equals, address = text.partition("=")
        if not equals or not name or "://" not in address:
            raise UsageError("not an index", found=text, expected="NAME=ADDRESS")
        given.setdefault(name, []).append(address)
    return given


def _default_configuration() -> ClientConfiguration:
    """pip's built-in index, whatever is configured: an audit must know what a tool falls back to."""
    from millcert.index import read_configuration

    kept: Mapping[str, str] = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    cert = os.environ.get("PIP_CERT")
    return read_configuration({**kept, "PIP_CONFIG_FILE": os.devnull} | ({"PIP_CERT": cert} if cert else {}))


def _asker(configuration: ClientConfiguration) -> Asker:
    from millcert.guard.ask import Asker
    from millcert.index import Transport

    return Asker(Transport(configuration))


def _print_report(report: Report, as_json: bool, as_sarif: bool) -> None:
    if as_sarif:
        from millcert.guard.sarif import render_sarif

        emit_json(render_sarif(report))
        return
    if as_json:
        emit_json(report.as_dict())
        return
    _print_findings(report)
    counts = Counter(finding.severity.label for finding in report.findings)
    found = ", ".join(f"{count} {label}{'s' * (count > 1)}" for label, count in counts.items()) or "nothing found"
    results().print(f"{len(report.inputs)} inputs read: {found}", markup=False)


def _print_findings(report: Report) -> None:
    from rich.table import Table
    from rich.text import Text

    if not report.findings:
        return
    table = Table("severity", "rule", "where", "what and evidence", "fix", show_lines=True)
    for finding in report.findings:
        label = finding.severity.label
        what = "\n".join([finding.message, *(f"{key}: {value}" for key, value in finding.evidence.items())])
        table.add_row(
            Text(label, _STYLES[label]), finding.rule, Text(str(finding.place)), Text(what), Text(finding.fix)
        )
    results().print(table)


def _print_outcome(outcome: Outcome, prefixes: Sequence[Prefix], as_json: bool) -> None:
    if as_json:
        emit_json(outcome.as_dict() | {"prefixes": [prefix.as_dict() for prefix in prefixes]})
        return
    for title, group in (
        ("new", outcome.newcomers), ("changed", outcome.changed), ("known", outcome.known), ("gone", outcome.gone),
    ):  # fmt: skip
        for item in group:
            results().print(
                f"{title}: {item.name} on {item.index} (ours: {item.resembles}), first seen {item.first_seen}, "
                f"versions {', '.join(item.versions[-5:]) or 'none'}", markup=False,
            )  # fmt: skip
    for (index, name), reason in sorted(outcome.unavailable.items()):
        results().print(f"no answer: {name} on {index}: {reason}", markup=False)
    for prefix in prefixes:
        results().print(f"prefix {prefix.prefix} on {prefix.index}: {prefix.status.value}", markup=False)
    if not (outcome.newcomers or outcome.changed or outcome.unavailable):
        results().print("nobody is new", markup=False)


commands: list[click.Command] = [guard_group]

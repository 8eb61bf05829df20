"""``millcert kit``: a verified installation as one file, for machines without a network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millcert.cli.console import emit_json, json_option, messages, results
from millcert.cli.install import (
    anchor_of,
    duration,
    environment_of,
    http_source,
    index_url_option,
    open_state,
    print_chain,
    silent,
    trust_options,
    verifier_of,
    version_of,
)

if TYPE_CHECKING:
    from millcert.install.installer import Installer, Request

__all__ = ["commands"]

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_python = click.option("--python", type=_FILE, metavar="PATH", help="The environment's Python (default: this one).")


class _Moment(click.ParamType[Any]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time such as 2026-11-23T00:00:00Z", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.group("kit")
def kit_group() -> None:
    """Carry an installation to machines without a network."""


@kit_group.command("create")
@click.argument("project")
@index_url_option
@click.option("--index", "where", required=True, metavar="CHANNEL/VARIANT", help="Such as nightly/cu129.")
@click.option("--version", metavar="VERSION", help="This release (default: the newest that fits).")
@click.option("--out", required=True, type=_FILE, metavar="FILE", help="Where the kit goes.")
@_python
@trust_options
@json_option
def create_command(
    project: str, index_url: str | None, where: str, version: str | None, out: Path, python: Path | None,
    root_path: Path | None, policy_path: Path | None, builders: int | None, trusted_root: Path | None,
    trust_config: Path | None, state_path: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Verify PROJECT from a signed index and write everything that was read into one file.

    \b
    Examples:
      millcert kit create wootz --index nightly/cu129 --out wootz.kit
      millcert kit verify wootz.kit --max-age 30d       on the cluster, weeks later
      millcert kit install wootz.kit --max-age 30d
    """
    from millcert.cli.progress import FetchProgress
    from millcert.files import replacing
    from millcert.install.installer import Installer, Request, open_index
    from millcert.install.kit import Recorder, write_kit
    from millcert.names import normalize

    verifier, policy = verifier_of(policy_path, builders, trusted_root, trust_config)
    state, now = open_state(state_path), datetime.now(UTC)
    recorder = Recorder(http_source(index_url), state.store)
    with state.store.temporary() as fresh:  # kept metadata would not be read from the index, and so not recorded
        index = open_index(recorder, anchor_of(root_path), state, now, fresh=fresh)
        request = Request(normalize(project), where, version_of(version))
        with FetchProgress() as progress:
            installer = Installer(index, verifier, policy, state, environment_of(python), now, progress)
            with installer.prepare(request) as prepared:
                found = str(prepared.wheels[0].version)
        with replacing(out) as stream:
            size = write_kit(recorder, str(request.project), where, found, stream)
    if as_json:
        emit_json({"kit": str(out), "version": found, "files": len(recorder.paths), "bytes": size})
        return
    results().print(f"{out}: {request.project} {found}, {len(recorder.paths)} files, {size / 1e6:.1f} MB", markup=False)


def _reading(command: Any) -> Any:
    for option in (
        click.argument("kit_path", metavar="KIT", type=_FILE),
        click.option("--as-of", type=_Moment(), metavar="TIME", help="Judge as of this time (default: now)."),
        click.option("--max-age", type=duration, default="0d", metavar="DURATION",
                     help="How long ago the index's metadata may have run out, such as 30d."),
        _python, trust_options, json_option,
    ):  # fmt: skip
        command = option(command)
    return command


@kit_group.command("verify")
@_reading
def verify_command(**options: Any) -> None:
    """Prove everything in KIT, as an installation from the index would; install nothing."""
    installer, request = _open(**{key: value for key, value in options.items() if key != "as_json"})
    with installer.prepare(request) as prepared:
        if options["as_json"]:
            emit_json({"installed": False, "chain": prepared.chain})
        else:
            print_chain(prepared.chain)


@kit_group.command("install")
@_reading
@click.option("--target", type=_FOLDER, metavar="FOLDER", help="Install into a folder instead.")
def install_command(target: Path | None, **options: Any) -> None:
    """Prove everything in KIT and install it, without a network."""
    installer, request = _open(**{key: value for key, value in options.items() if key != "as_json"})
    with installer.prepare(request) as prepared:
        summary = installer.install(prepared, target)
        if options["as_json"]:
            emit_json({"installed": True, "chain": prepared.chain, "summary": str(summary)})
            return
        for wheel in prepared.wheels:
            results().print(f"installed {wheel.name} {wheel.version}", markup=False)
        messages().print(f"summary: {summary}", markup=False)


def _open(
    kit_path: Path, as_of: datetime | None, max_age: timedelta, python: Path | None, root_path: Path | None,
    policy_path: Path | None, builders: int | None, trusted_root: Path | None, trust_config: Path | None,
    state_path: Path | None,
) -> tuple[Installer, Request]:  # fmt: skip
    from millcert.install.installer import Installer, Request, open_index
    from millcert.install.kit import open_kit, reference_time
    from millcert.names import normalize

    verifier, policy = verifier_of(policy_path, builders, trusted_root, trust_config)
    state, now = open_state(state_path), datetime.now(UTC)
    kit = open_kit(kit_path, state.store)
    judged = reference_time(as_of or now, max_age, now)
    index = open_index(kit.source, anchor_of(root_path), state, now, expiry=judged)
    request = Request(normalize(kit.project), kit.index, version_of(kit.version))
    return Installer(index, verifier, policy, state, environment_of(python), now, silent), request


commands: list[click.Command] = [kit_group]

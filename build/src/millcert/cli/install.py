"""``millcert install`` and ``millcert explain``: from a signed index into an environment, and why it is believed."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from millcert.cli.attest import policy_from_options, trust_config_option, trust_root_from_options
from millcert.cli.console import emit_json, json_option, messages, results
from millcert.errors import UsageError

if TYPE_CHECKING:
    from packaging.version import Version

    from millcert.attest.verify import Verifier
    from millcert.install.anchor import Anchor
    from millcert.install.environment import Environment
    from millcert.install.installer import Prepared
    from millcert.install.source import HttpSource
    from millcert.install.state import State
    from millcert.model import Digest

__all__ = [
    "anchor_of", "commands", "duration", "environment_of", "http_source", "index_url_option", "open_state",
    "print_chain", "silent", "trust_options", "verifier_of", "version_of",
]  # fmt: skip

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_Command = TypeVar("_Command", bound=Callable[..., Any])
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class _Duration(click.ParamType[Any]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        if (match := re.fullmatch(r"(\d{1,5})([mhdw])", value)) is None:
            self.fail(f"{value!r} is no duration such as 90m, 36h, 3d or 2w", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


duration = _Duration()
index_url_option = click.option(
    "--index-url", envvar="MILLCERT_INDEX_URL", metavar="URL", help="Where the site is (default: as shipped)."
)


def trust_options(command: _Command) -> _Command:
    """What every command that verifies must know: the index's root, who may sign, and where state is kept."""
    options = [
        click.option("--root", "root_path", type=_FILE, metavar="FILE",
                     help="The index's first root, or a root with a floor (default: as shipped)."),
        click.option("--policy", "policy_path", type=_FILE, metavar="FILE",
                     help="Who may sign, TOML or JSON (default: as shipped)."),
        click.option("--builders", type=click.IntRange(1), metavar="K", help="How many builders must agree."),
        click.option("--trusted-root", type=_FILE, metavar="FILE",
                     help="The Sigstore root (default: public-good, or as shipped)."),
        trust_config_option,
        click.option("--state", "state_path", type=_FOLDER, envvar="MILLCERT_STATE", help="Where state is kept."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command("install")
@click.argument("project")
@click.option("--nightly", "channel", flag_value="nightly", help="From the nightly channel.")
@click.option("--stable", "channel", flag_value="stable", default="stable", help="From the stable channel (default).")
@index_url_option
@click.option("--variant", metavar="NAME", help="Such as cpu or cu129 (default: what the NVIDIA driver can run).")
@click.option("--version", "version", metavar="VERSION", help="This release (default: the newest that fits).")
@click.option("--cooldown", type=duration, default="0d", help="Pass over releases attested later than, say, 3d ago.")
@click.option("--accept-identity", "accepted", multiple=True, metavar="NAME", help="A new signer, accepted once.")
@click.option("--allow-file", "declared", multiple=True, metavar="PATTERN", help="A .pth or .data file to let in.")
@click.option("--python", "python", type=_FILE, metavar="PATH", help="The environment's Python (default: this one).")
@click.option("--target", type=_FOLDER, metavar="FOLDER", help="Install into a folder instead.")
@click.option("--dry-run", is_flag=True, help="Prove everything, print the chain of evidence, install nothing.")
@trust_options
@json_option
def install_command(
    project: str, channel: str, index_url: str | None, variant: str | None, version: str | None, cooldown: timedelta,
    accepted: tuple[str, ...], declared: tuple[str, ...], python: Path | None, target: Path | None, dry_run: bool,
    root_path: Path | None, policy_path: Path | None, builders: int | None, trusted_root: Path | None,
    trust_config: Path | None, state_path: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Install PROJECT from a signed index, or nothing if anything about it is not proven.

    A release of millcert ships the address, root, floor and policy of its project's own index; options name others.

    \b
    Examples:
      millcert install wootz --nightly
      millcert install wootz --nightly --variant cpu --cooldown 3d --dry-run
      millcert install wootz --nightly --index-url https://nightly.example --root root.json --policy policy.toml
    """
    from millcert.cli.progress import FetchProgress
    from millcert.install.gpu import choose_variant, read_driver
    from millcert.install.installer import Installer, Request, open_index
    from millcert.names import normalize

    name, wanted = normalize(project), version_of(version)
    anchor = anchor_of(root_path)
    verifier, policy = verifier_of(policy_path, builders, trusted_root, trust_config)
    environment, state, now = environment_of(python), open_state(state_path), datetime.now(UTC)
    index = open_index(http_source(index_url), anchor, state, now)
    chosen = variant
    if chosen is None:
        picked = choose_variant(read_driver(), index.variants(channel))
        chosen = picked.name
        messages().print(f"variant {picked.name}: {picked.reason}", markup=False)
    request = Request(name, f"{channel}/{chosen}", wanted, cooldown, accepted, declared)
    with FetchProgress() as progress:
        installer = Installer(index, verifier, policy, state, environment, now, progress)
        with installer.prepare(request) as prepared:
            summary = None if dry_run else installer.install(prepared, target)
            _report(prepared, summary, as_json=as_json, whole=dry_run)


@click.command("explain")
@click.argument("what", metavar="WHEEL_OR_NAME")
@click.option("--python", "python", type=_FILE, metavar="PATH", help="The environment's Python (default: this one).")
@click.option("--state", "state_path", type=_FOLDER, envvar="MILLCERT_STATE", help="Where state is kept.")
@json_option
def explain_command(what: str, python: Path | None, state_path: Path | None, as_json: bool) -> None:
    """Print why a wheel file, or an installed project, was believed, and whether it is still what was verified."""
    from millcert.install.explain import explain_installed, explain_wheel
    from millcert.names import normalize

    state = open_state(state_path)
    if what.endswith(".whl"):
        found = explain_wheel(state, Path(what))
    else:
        found = explain_installed(state, normalize(what), environment_of(python))
    if as_json:
        emit_json(found)
    else:
        print_chain(found["chain"])
        for path in found.get("altered", ()):
            results().print(f"altered since: {path}", markup=False)
    if found.get("altered"):
        sys.exit(6)


def _report(prepared: Prepared, summary: Path | None, *, as_json: bool, whole: bool) -> None:
    if as_json:
        emit_json({"installed": summary is not None, "chain": prepared.chain, "summary": str(summary or "")})
        return
    if whole:
        print_chain(prepared.chain)
    for wheel in prepared.wheels:
        done = "verified" if summary is None else "installed"
        results().print(f"{done} {wheel.name} {wheel.version}", markup=False)
    if summary is not None:
        messages().print(f"summary: {summary}", markup=False)


def print_chain(chain: dict[str, Any]) -> None:
    """The chain of evidence, a line for each link."""
    tuf, evidence = chain["tuf"], chain["evidence"]
    lines = [
        f"{chain['project']} {chain['version']} from {chain['index']}, verified {chain['verified']}",
        f"index: root {tuf['root']} from anchor sha256 {tuf['anchor'][:16]}…, timestamp {tuf['timestamp']}"
        f" good until {tuf['expires']}",
        f"attested: {chain['attested']} by {evidence['builders']['agreeing']} of {evidence['builders']['demanded']}"
        f" builders, under policy sha256 {chain['policy'][:16]}…",
    ]
    for attestation in evidence["attestations"]:
        lines += [f"  {step['step']:2} {step['check']}: {step['found']}" for step in attestation["steps"]]
    lines += [f"{kind}: sha256 {evidence[kind]}" for kind in ("provenance", "sbom", "pylock")]
    for wheel in chain["wheels"]:
        lines.append(f"wheel: {wheel['file']} sha256 {wheel['sha256']}, {wheel['files']} files as in its RECORD,"
                     f" trusted by {wheel['trusted_by']}")  # fmt: skip
    for line in lines:
        results().print(line, markup=False)


def anchor_of(root_path: Path | None) -> Anchor:
    """The root that was named, else the one with a floor that was shipped."""
    from millcert.install.anchor import read_anchor
    from millcert.install.shipped import read_shipped

    return read_anchor(root_path) if root_path else read_shipped("--root").anchor


def verifier_of(
    policy_path: Path | None, builders: int | None, trusted_root: Path | None, trust_config: Path | None
) -> tuple[Verifier, Digest]:
    """A verifier, and the digest of the policy it holds; what is not named is as shipped."""
    import dataclasses

    from millcert.attest.verify import Verifier
    from millcert.install.shipped import read_shipped
    from millcert.model import digest_of

    named = trusted_root or trust_config
    if policy_path is not None:
        policy, data = policy_from_options(policy_path, (), None, builders), policy_path.read_bytes()
        return Verifier(trust_root_from_options(trusted_root, trust_config), policy), digest_of(data)
    shipped = read_shipped("--policy")
    root = trust_root_from_options(trusted_root, trust_config) if named else shipped.sigstore_root()
    rules = shipped.rules()
    policy = dataclasses.replace(rules, builders=builders) if builders else rules
    return Verifier(root, policy), digest_of(shipped.policy)


def http_source(index_url: str | None) -> HttpSource:
    """The site at an address, or where the shipped one is, over the client's own proxies and authorities."""
    from millcert.index import read_configuration
    from millcert.install.shipped import read_shipped
    from millcert.install.source import BoundTransport, HttpSource

    address = index_url or read_shipped("--index-url").address
    return HttpSource(address, BoundTransport(read_configuration(os.environ)))


def open_state(path: Path | None) -> State:
    """The state folder that was named, or the user's."""
    from millcert.install.state import State, default_state

    return State(path.absolute() if path else default_state(os.environ))


def environment_of(python: Path | None) -> Environment:
    """The environment of a Python, by default the one that runs this."""
    from millcert.install.environment import read_environment

    return read_environment(python or Path(sys.executable))


def version_of(text: str | None) -> Version | None:
    """The version that was asked for, if any."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text) if text else None
    except InvalidVersion as error:
        raise UsageError("not a version", found=text) from error


def silent(filename: str, received: int, size: int) -> None:
    """No progress is shown."""


commands: list[click.Command] = [install_command, explain_command]

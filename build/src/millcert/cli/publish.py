"""``millcert publish`` and ``millcert index``: wheels onto a signed index, and what may change there later."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millcert.cli.console import emit_json, json_option, messages
from millcert.cli.signing import key_options, open_signers, read_root, root_option, site_option
from millcert.errors import UsageError

if TYPE_CHECKING:
    from millcert.lock import LockedFile, Pin
    from millcert.publish import Artifact, Builder, Outcome, Publisher, Verifier
    from millcert.publish.upload import Place
    from millcert.store import Store

__all__ = ["commands"]

_HEADER = "MILLCERT_SYNC_HEADER"
_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("publish")
@click.argument("wheels", nargs=-1, required=True, type=_FILE)
@click.option("--index", required=True, metavar="CHANNEL/VARIANT", help="Such as nightly/cpu or stable/cu129.")
@site_option
@root_option
@click.option(
    "--lock", "lock_path", type=_FILE, help="The lock of what the wheels need (lockfiles/runtime/VARIANT.txt)."
)
@click.option("--policy", "policy_path", required=True, type=_FILE, help="Who may have built and signed the wheels.")
@click.option("--trusted-root", type=_FILE, help="The Sigstore root to believe (default: public-good, as shipped).")
@click.option("--trust-config", type=_FILE, help="A Sigstore client trust configuration: another instance.")
@click.option("--project", "project", type=_FOLDER, default=".", help="The project's root, with ci/targets.toml.")
@click.option("--owned", multiple=True, metavar="NAME", help="A further name that is ours (repeatable).")
@click.option(
    "--retain", type=click.IntRange(1), metavar="N", help="List the newest N versions; older ones stay served."
)
@click.option("--refer", default="", metavar="TEMPLATE", help="Refer to locked files there instead of mirroring them.")
@click.option("--base-url", default="", metavar="URL", help="Where the site is served, for pylock.toml.")
@click.option("--store", "store_path", type=_FOLDER, envvar="MILLCERT_STORE", help="The store with the locked files.")
@click.option("--fetch", is_flag=True, help="Bring locked files that the index lacks into the store first.")
@click.option("--drafts", type=_FOLDER, help="Put a change that needs more signatures here, as a draft.")
@click.option(
    "--floor", type=click.IntRange(0), default=0, help="Refuse a site whose timestamp is older than this version."
)
@key_options
@json_option
def publish_command(
    wheels: tuple[Path, ...], index: str, site_path: Path, root_path: Path, lock_path: Path | None, policy_path: Path,
    trusted_root: Path | None, trust_config: Path | None, project: Path, owned: tuple[str, ...], retain: int | None,
    refer: str, base_url: str, store_path: Path | None, fetch: bool, drafts: Path | None, floor: int,
    key_paths: tuple[Path, ...], password_fd: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Publish signed WHEELS and what they need to one index, or change nothing.

    Everything is checked first: attestations and quorum, names, versions, and that each requirement is ours or
    locked by hash. The same command again finishes a run that was cut off.

    \b
    Examples:
      millcert publish dist/*+cpu*.whl --index nightly/cpu --site site --root root.json \\
        --policy policy.toml --key publisher.key --key snapshot.key --key timestamp.key
    """
    from millcert.lock import read_lock
    from millcert.names import normalize
    from millcert.publish import Request
    from millcert.targets import load_targets

    targets = load_targets(project / "ci" / "targets.toml")
    variant = index.partition("/")[2]
    lock = read_lock(lock_path or project / "lockfiles" / "runtime" / f"{variant}.txt")
    names = frozenset(normalize(name) for name in (targets.project, *owned))
    request = Request(index, wheels, lock, names, retain, refer, base_url)
    verify = _verifier(policy_path, trusted_root, trust_config)
    publisher = _publisher(site_path, root_path, key_paths, password_fd, drafts=drafts, floor=floor)
    store = _store(store_path)
    if fetch:
        _fetch(publisher.needed(request, _now()), store)
    _report(publisher.publish(request, store, verify, _now()), as_json=as_json)


@click.group("index")
def index_group() -> None:
    """Change what an index says of its projects, and keep it fresh."""


@index_group.command("yank")
@click.argument("index")
@click.argument("project")
@click.argument("filenames", nargs=-1, required=True)
@click.option("--reason", default="", help="Why; shown by pip and uv.")
@click.option("--undo", is_flag=True, help="The files are good after all.")
@site_option
@root_option
@key_options
@json_option
def yank_command(
    index: str, project: str, filenames: tuple[str, ...], reason: str, undo: bool, site_path: Path, root_path: Path,
    key_paths: tuple[Path, ...], password_fd: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Yank files of a PROJECT from an INDEX (PEP 592): installers skip them, except where they are pinned."""
    from millcert.names import normalize

    if undo == bool(reason):
        raise UsageError("a yank needs a reason", fix="give --reason TEXT, or --undo")
    publisher = _publisher(site_path, root_path, key_paths, password_fd)
    _report(publisher.yank(index, normalize(project), filenames, reason, _now()), as_json=as_json)


@index_group.command("status")
@click.argument("index")
@click.argument("project")
@click.argument("status", type=click.Choice(["active", "archived", "quarantined", "deprecated"]))
@click.option("--reason", default="", help="Why.")
@site_option
@root_option
@key_options
@json_option
def status_command(
    index: str, project: str, status: str, reason: str, site_path: Path, root_path: Path, key_paths: tuple[Path, ...],
    password_fd: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Set the STATUS of a PROJECT on an INDEX (PEP 792); a quarantined one offers no files."""
    from millcert.names import normalize

    publisher = _publisher(site_path, root_path, key_paths, password_fd)
    _report(publisher.set_status(index, normalize(project), status, reason, _now()), as_json=as_json)


@index_group.command("refresh")
@site_option
@root_option
@key_options
@json_option
def refresh_command(
    site_path: Path, root_path: Path, key_paths: tuple[Path, ...], password_fd: int | None, as_json: bool
) -> None:
    """Sign a new snapshot and timestamp; run it at least once a day, or clients will refuse a frozen index."""
    _report(_publisher(site_path, root_path, key_paths, password_fd).refresh(_now()), as_json=as_json)


@index_group.command("views")
@site_option
@root_option
def views_command(site_path: Path, root_path: Path) -> None:
    """Derive every HTML and JSON view again from the signed pages."""
    from millcert.publish import FolderSite, write_all_views

    count = write_all_views(FolderSite(site_path), read_root(root_path))
    messages().print(f"{count} views written")


@index_group.command("sync")
@click.argument("target", metavar="FOLDER_OR_URL", required=False)
@click.option("--plan", "as_plan", is_flag=True, help="Print the order for another tool, and send nothing.")
@click.option("--recheck", is_flag=True, help="Ask the target for every file, also for those that were sent before.")
@site_option
@root_option
@json_option
def sync_command(
    target: str | None, as_plan: bool, recheck: bool, site_path: Path, root_path: Path, as_json: bool
) -> None:  # fmt: skip
    """Bring a site to where it is served: a folder, or a server or bucket that takes PUT.

    Files that never change go first, then the timestamp, then what pip reads. Cut off anywhere, the target serves the
    state before or after, and the same command continues. MILLCERT_SYNC_HEADER, such as "Authorization: Bearer …", is
    sent with each request; there is no option for it.

    \b
    Examples:
      millcert index sync https://bucket.example/site --site site --root root.json
      millcert index sync --plan --site site --root root.json | …
    """
    from millcert.cli.progress import FetchProgress
    from millcert.publish import FolderSite
    from millcert.publish.state import TIMESTAMP
    from millcert.publish.upload import phases, upload

    site = FolderSite(site_path)
    if as_plan:
        fixed, views = phases(site.root)
        rows = [*((1, path) for path in fixed), (2, TIMESTAMP), *((3, path) for path in views)]
        for phase, path in rows:
            click.echo(f"{phase}\t{path}")
        return
    if target is None:
        raise UsageError("where should the site go?", fix="name a folder or an https address, or ask for --plan")
    with FetchProgress("sending files", "sent") as progress:
        sent = upload(site, read_root(root_path), _place(target), progress, recheck=recheck)
    if as_json:
        emit_json({"files": sent.files, "views": sent.views, "timestamp": sent.timestamp})
    else:
        messages().print(f"in force there: timestamp {sent.timestamp}; {sent.files} files, {sent.views} views sent")


def _place(target: str) -> Place:
    from millcert.index import Transport, read_configuration
    from millcert.publish.upload import FolderPlace, HttpPlace

    if "://" not in target:
        return FolderPlace(Path(target))
    name, colon, value = os.environ.get(_HEADER, "").partition(":")
    if os.environ.get(_HEADER) and not (colon and name.strip()):
        raise UsageError(f"{_HEADER} is no header", expected="Name: value")
    headers = {name.strip(): value.strip()} if name else {}
    return HttpPlace(target, Transport(read_configuration(os.environ)), headers)


def _publisher(
    site_path: Path, root_path: Path, key_paths: tuple[Path, ...], password_fd: int | None, **more: Any
) -> Publisher:
    from millcert.publish import FolderSite, Publisher

    return Publisher(FolderSite(site_path), read_root(root_path), open_signers(key_paths, password_fd), **more)


def _verifier(policy_path: Path, trusted_root: Path | None, trust_config: Path | None) -> Verifier:
    """The attestation layer's verifier, as publishing calls it."""
    from millcert.attest.policy import parse_policy
    from millcert.attest.trust import public_good, read_trust_config, read_trusted_root
    from millcert.attest.verify import Verifier
    from millcert.publish import Builder

    if trusted_root and trust_config:
        raise UsageError("--trusted-root and --trust-config both name a root", fix="give one of them")
    if trusted_root:
        root = read_trusted_root(trusted_root)
    else:
        root = read_trust_config(trust_config) if trust_config else public_good()
    verifier = Verifier(root, parse_policy(policy_path.read_bytes()))

    def verify(artifact: Artifact) -> Mapping[str, Builder]:
        claims = {one.bundle: one.claimed.claims for one in verifier.verify(artifact.path).attestations}
        return {name: Builder(claim.issuer, claim.identity) for name, claim in claims.items()}

    return verify


def _fetch(needed: Sequence[tuple[Pin, LockedFile]], store: Store) -> None:
    from millcert import index
    from millcert.cli.progress import FetchProgress

    with FetchProgress() as progress:
        index.fetch(needed, store, progress)


def _store(path: Path | None) -> Store:
    from millcert.store import Store, default_root

    return Store(path or default_root(os.environ))


def _report(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        emit_json(
            {"timestamp": outcome.version, "pages": list(outcome.pages), "draft": str(outcome.draft or "") or None}
        )
    elif outcome.draft:
        messages().print(f"waits for signatures: {outcome.draft}; sign it with `millcert keys sign`", markup=False)
    elif not outcome.pages:
        messages().print(f"in force: timestamp {outcome.version}; no page changed", markup=False)
    else:
        messages().print(f"in force: timestamp {outcome.version}; {', '.join(outcome.pages)}", markup=False)


def _now() -> datetime:
    return datetime.now(UTC)


commands: list[click.Command] = [publish_command, index_group]

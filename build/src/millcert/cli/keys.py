"""``millcert keys``: signing keys of the index, and the ceremonies that change who may sign."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millcert.cli.console import emit_json, json_option, messages, results
from millcert.cli.signing import key_options, open_signers, read_root, root_option, secrets, site_option
from millcert.errors import UsageError

if TYPE_CHECKING:
    from securesystemslib.signer import Key

    from millcert.keys import Draft, Role
    from millcert.publish import FolderSite, State

__all__ = ["commands"]

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)

draft_option = click.option(
    "--draft", "draft_path", required=True, type=_FILE, metavar="FILE", help="Where the draft goes."
)


@click.group("keys")
def keys_group() -> None:
    """Create keys, and change who may sign what in an index.

    A change is a draft first. It is signed by as many keys as it needs, on one machine or on several, and put
    into force with `millcert keys commit`.

    \b
    Examples:
      millcert keys create --name alice --out alice.key
      millcert keys init --root-key a.pub --root-key b.pub --root-key c.pub … --draft first.json
      millcert keys sign first.json --key alice.key
      millcert keys commit first.json --site site --key timestamp.key --key snapshot.key
    """


@keys_group.command("create")
@click.option("--name", required=True, help="Whose key it is; shown wherever the key is.")
@click.option(
    "--out", required=True, type=_FILE, metavar="FILE", help="The key document; FILE.pub gets the public card."
)
@click.option("--token", metavar="LABEL", help="Use a key on this PKCS#11 token (module: PYKCS11LIB).")
@click.option("--token-key", type=int, default=2, show_default=True, help="The key's id on the token.")
@click.option(
    "--command", "agent", multiple=True, metavar="WORD", help="An agent that signs stdin (repeat for each word)."
)
@click.option("--public-key", type=_FILE, metavar="PEM", help="The agent's public key.")
@click.option("--password-fd", type=click.IntRange(0), metavar="N", help="Read the password from this descriptor.")
def create_command(
    name: str, out: Path, token: str | None, token_key: int, agent: tuple[str, ...], public_key: Path | None,
    password_fd: int | None,
) -> None:  # fmt: skip
    """Create a key in an encrypted file, or a document for a key on a token or behind an agent."""
    from millcert import keys

    if token:
        document = keys.token_key(name, token_key, token, secrets(password_fd)(f"pin of {name}"))
    elif agent:
        if public_key is None:
            raise UsageError("an agent's key needs its public half", fix="name it with --public-key")
        document = keys.external_key(name, public_key.read_bytes(), agent)
    else:
        document = keys.create_key(name, secrets(password_fd, confirm=True)(f"password of {name}"))
    keys.write_key(document, out)
    keys.write_key(document.card, out.with_name(f"{out.name}.pub"))
    messages().print(f"created {document.keyid[:12]} for {name}: {out}, {out}.pub", markup=False)


@keys_group.command("init")
@click.option("--root-key", multiple=True, required=True, type=_FILE, help="A card of a root key (repeatable).")
@click.option("--root-threshold", type=int, default=2, show_default=True)
@click.option("--targets-key", multiple=True, required=True, type=_FILE, help="A card of a core maintainer.")
@click.option("--targets-threshold", type=int, default=2, show_default=True)
@click.option("--snapshot-key", multiple=True, required=True, type=_FILE)
@click.option("--timestamp-key", multiple=True, required=True, type=_FILE)
@draft_option
def init_command(draft_path: Path, **options: Any) -> None:
    """Draft a new index: its root with a threshold of offline keys, targets, snapshot and timestamp."""
    from millcert.keys import DEFAULT_LIFETIMES, TOP_ROLES
    from millcert.publish.ceremony import start

    roles = {name: _role(options[f"{name}_key"], options.get(f"{name}_threshold", 1)) for name in TOP_ROLES}
    _write(start(roles, _now(), DEFAULT_LIFETIMES), draft_path)


@keys_group.command("delegate")
@click.argument("index")
@click.option("--maintainer-key", multiple=True, required=True, type=_FILE, help="A card of who governs this index.")
@click.option("--maintainer-threshold", type=int, default=1, show_default=True)
@click.option("--publisher-key", multiple=True, required=True, type=_FILE, help="A card of who signs its pages.")
@click.option("--publisher-threshold", type=int, default=1, show_default=True)
@click.option("--bin-bits", type=click.IntRange(1, 12), default=3, show_default=True, help="2**N bins for its pages.")
@site_option
@root_option
@draft_option
def delegate_command(
    index: str, maintainer_key: tuple[Path, ...], maintainer_threshold: int, publisher_key: tuple[Path, ...],
    publisher_threshold: int, bin_bits: int, site_path: Path, root_path: Path, draft_path: Path,
) -> None:  # fmt: skip
    """Draft a new INDEX, such as nightly/cpu, with its maintainers and its publishers."""
    from millcert.keys import DEFAULT_LIFETIMES
    from millcert.publish.ceremony import add_index

    maintainers = _role(maintainer_key, maintainer_threshold)
    publishers = _role(publisher_key, publisher_threshold)
    state = _state(_site(site_path), root_path)
    _write(add_index(state, index, maintainers, publishers, bin_bits, _now(), DEFAULT_LIFETIMES), draft_path)


@keys_group.command("rotate")
@click.argument("role")
@click.option("--add", multiple=True, type=_FILE, metavar="CARD", help="A key that gets the role.")
@click.option("--remove", multiple=True, metavar="KEYID", help="A key that loses it (a prefix of its id will do).")
@click.option("--threshold", type=int, help="How many keys must sign from now on.")
@site_option
@root_option
@draft_option
def rotate_command(
    role: str, add: tuple[Path, ...], remove: tuple[str, ...], threshold: int | None, site_path: Path, root_path: Path,
    draft_path: Path,
) -> None:  # fmt: skip
    """Draft new keys for a ROLE: root, targets, snapshot, timestamp, nightly-cpu or nightly-cpu-pages."""
    if not (add or remove or threshold):
        raise UsageError("nothing to change", fix="give --add, --remove or --threshold")
    _change(_site(site_path), root_path, draft_path, role, [_card(path) for path in add], remove, threshold)


@keys_group.command("revoke")
@click.argument("keyid")
@click.option("--role", "roles", multiple=True, help="Only this role (default: the one it has; required if several).")
@site_option
@root_option
@draft_option
def revoke_command(keyid: str, roles: tuple[str, ...], site_path: Path, root_path: Path, draft_path: Path) -> None:
    """Draft the removal of a compromised key; what only it had signed is drafted to be signed anew."""
    from millcert.publish.overview import roles_of_key

    site = _site(site_path)
    found = roles or tuple(roles_of_key(_state(site, root_path), keyid))
    if len(found) != 1:
        raise UsageError(
            "the key has no role, or several", key=keyid, roles=", ".join(found) or "none",
            fix="name one with --role; make one draft for each",
        )  # fmt: skip
    _change(site, root_path, draft_path, found[0], [], (keyid,), None)


@keys_group.command("expire")
@click.option("--within", type=click.IntRange(1), default=30, show_default=True, metavar="DAYS")
@click.option("--role", "roles", multiple=True, help="These roles, whenever they expire (repeatable).")
@site_option
@root_option
@draft_option
def expire_command(within: int, roles: tuple[str, ...], site_path: Path, root_path: Path, draft_path: Path) -> None:
    """Draft later expiry times for metadata that is about to expire; keys and pages stay as they are."""
    from millcert.keys import DEFAULT_LIFETIMES
    from millcert.publish.ceremony import expiring, renew_roles

    state, now = _state(_site(site_path), root_path), _now()
    names = roles or tuple(expiring(state, now, timedelta(days=within)))
    if not names:
        messages().print(f"nothing expires within {within} days")
        return
    _write(renew_roles(state, names, now, DEFAULT_LIFETIMES), draft_path)


@keys_group.command("sign")
@click.argument("draft_path", type=_FILE)
@key_options
def sign_command(draft_path: Path, key_paths: tuple[Path, ...], password_fd: int | None) -> None:
    """Add signatures to a DRAFT; needs nothing but the draft and a key, so it can run on an offline machine."""
    from millcert.keys import read_draft, write_draft

    draft = read_draft(draft_path)
    signed = draft.sign(open_signers(key_paths, password_fd))
    if not signed:
        raise UsageError("none of these keys is asked for by the draft", draft=draft_path, keys=len(key_paths))
    write_draft(draft, draft_path)
    _report(draft)


@keys_group.command("merge")
@click.argument("draft_path", type=_FILE)
@click.argument("others", nargs=-1, required=True, type=_FILE)
def merge_command(draft_path: Path, others: tuple[Path, ...]) -> None:
    """Bring the signatures of OTHERS, copies of a DRAFT signed elsewhere, into it."""
    from millcert.keys import read_draft, write_draft

    draft = read_draft(draft_path)
    for other in others:
        draft.merge(read_draft(other))
    write_draft(draft, draft_path)
    _report(draft)


@keys_group.command("commit")
@click.argument("draft_path", type=_FILE)
@site_option
@click.option("--root", "root_path", type=_FILE, metavar="FILE", help="The trusted root (not for the first draft).")
@key_options
def commit_command(
    draft_path: Path, site_path: Path, root_path: Path | None, key_paths: tuple[Path, ...], password_fd: int | None
) -> None:
    """Put a signed DRAFT into force; needs the snapshot and timestamp keys."""
    from millcert.keys import DEFAULT_LIFETIMES, read_draft
    from millcert.publish import commit, finish_views, load_state

    draft, site = read_draft(draft_path), _site(site_path)
    signers = open_signers(key_paths, password_fd)
    root = draft.metadata.get("root")
    first = root is not None and root.signed.version == 1
    if root_path is None and not first:
        raise UsageError("which root is trusted?", fix="name it with --root")
    with site.locked():
        state = None
        if root_path is not None and not first:
            state = load_state(site, read_root(root_path), before=root.signed.version if root else None)
            finish_views(state)
        version = commit(site, state, draft, signers, _now(), DEFAULT_LIFETIMES)
    messages().print(f"in force: {', '.join(sorted(draft.metadata))}; timestamp {version}", markup=False)


@keys_group.command("show")
@click.argument("draft_path", type=_FILE, required=False)
@click.option("--site", "site_path", type=_FOLDER, help="The folder that is served.")
@click.option("--root", "root_path", type=_FILE, metavar="FILE", help="The root that is trusted.")
@json_option
def show_command(draft_path: Path | None, site_path: Path | None, root_path: Path | None, as_json: bool) -> None:
    """Show roles, keys, thresholds and expiry times: of an index, or of a DRAFT with what it still lacks."""
    from millcert.keys import read_draft
    from millcert.publish.overview import describe, describe_draft

    if draft_path is not None:
        rows = describe_draft(read_draft(draft_path))
    elif site_path is not None and root_path is not None:
        rows = describe(_state(_site(site_path), root_path))
    else:
        raise UsageError("what should be shown?", fix="name a draft, or --site and --root")
    if as_json:
        emit_json(rows)
    else:
        _print(rows)


@keys_group.command("ship")
@site_option
@root_option
@click.option("--index-url", required=True, metavar="URL", help="Where clients find the site (https).")
@click.option("--policy", "policy_path", required=True, type=_FILE, help="Who may sign wheels.")
@click.option("--trusted-root", type=_FILE, help="The Sigstore root, where it is not the public-good one.")
@click.option("--out", required=True, type=_FILE, help="Such as build/src/millcert/data/index.json.")
def ship_command(
    site_path: Path, root_path: Path, index_url: str, policy_path: Path, trusted_root: Path | None, out: Path
) -> None:
    """Write what a release of millcert ships, so that a client's first use is protected too.

    The root in force, the timestamp in force and this moment as the floor, and the policy. Run it on an index that was
    refreshed just now, then build the release. --root must be the same at every release: clients know the index by it.
    """
    from millcert.files import write_atomically
    from millcert.install.shipped import ship

    try:
        policy, sigstore = policy_path.read_bytes(), trusted_root.read_bytes() if trusted_root else b""
    except OSError as error:
        raise UsageError("cannot be read", file=error.filename, reason=error.strerror) from error
    state = _state(_site(site_path), root_path)
    shipped = ship(state, read_root(root_path), index_url, policy, sigstore, _now())
    write_atomically(out, shipped.to_bytes())
    floor = f"timestamp {shipped.anchor.version}, {shipped.anchor.time}"
    messages().print(f"{out}: root {state.version('root')}, floor: {floor}", markup=False)


def _change(
    site: FolderSite, root_path: Path, draft_path: Path, role: str, add: Sequence[Key], remove: Sequence[str],
    threshold: int | None,
) -> None:  # fmt: skip
    from millcert.keys import DEFAULT_LIFETIMES
    from millcert.publish.ceremony import change_role

    draft = change_role(
        _state(site, root_path), role, add=add, remove=remove, threshold=threshold, now=_now(),
        lifetimes=DEFAULT_LIFETIMES,
    )  # fmt: skip
    _write(draft, draft_path)


def _state(site: FolderSite, root_path: Path) -> State:
    from millcert.publish import load_state

    return load_state(site, read_root(root_path))


def _site(path: Path) -> FolderSite:
    from millcert.publish import FolderSite

    return FolderSite(path)


def _role(cards: Sequence[Path], threshold: int) -> Role:
    from millcert.keys import Role

    return Role(tuple(_card(path) for path in cards), threshold)


def _card(path: Path) -> Key:
    from millcert.keys import read_key

    return read_key(path).public


def _write(draft: Draft, path: Path) -> None:
    from millcert.keys import write_draft

    write_draft(draft, path)
    _report(draft)


def _report(draft: Draft) -> None:
    from millcert.publish.overview import describe_draft

    _print(describe_draft(draft))
    if not draft.missing():
        messages().print("all signatures are there: `millcert keys commit` puts it into force")


def _print(rows: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    columns = [column for column in (rows[0] if rows else ()) if column != "keyids"]
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(row[column])) for column in columns))
    results().print(table)


def _now() -> datetime:
    return datetime.now(UTC)


commands: list[click.Command] = [keys_group]

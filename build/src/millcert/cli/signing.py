"""Options of the commands that sign: the site, the trusted root, the keys at hand and their passwords."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from millcert.errors import UsageError

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

__all__ = ["key_options", "open_signers", "read_root", "root_option", "secrets", "site_option"]

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_PASSWORD = "MILLCERT_KEY_PASSWORD"  # noqa: S105  # the name of a variable, not a password
_Command = TypeVar("_Command", bound=Callable[..., Any])

site_option = click.option("--site", "site_path", required=True, type=_FOLDER, help="The folder that is served.")
root_option = click.option(
    "--root", "root_path", required=True, type=_FILE, metavar="FILE",
    help="The root that is trusted, kept outside the site (any version; later ones are followed).",
)  # fmt: skip


def key_options(command: _Command) -> _Command:
    """``--key`` and ``--password-fd``: the keys at hand, and where passwords come from other than the prompt."""
    key = click.option(
        "--key",
        "key_paths",
        multiple=True,
        type=_FILE,
        metavar="FILE",
        help="A key document that signs (repeatable).",
    )
    password = click.option(
        "--password-fd", type=click.IntRange(0), metavar="N",
        help=f"Read passwords from this file descriptor, a line for each key (default: {_PASSWORD}, else a prompt).",
    )  # fmt: skip
    return key(password(command))


def open_signers(paths: Sequence[Path], password_fd: int | None) -> list[Signer]:
    """The keys at hand, opened."""
    from millcert.keys import open_signer, read_key

    secret = secrets(password_fd)
    return [open_signer(read_key(path), secret) for path in paths]


def read_root(path: Path) -> bytes:
    """The trusted root's bytes."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError("the trusted root cannot be read", file=path, reason=error.strerror) from error


def secrets(password_fd: int | None, *, confirm: bool = False) -> Callable[[str], str]:
    """Secrets from a descriptor (a line each), the environment, or the prompt; never from the command line."""
    if password_fd is not None:
        stream = os.fdopen(password_fd, "r", encoding="utf-8", closefd=False)
        return lambda _: stream.readline().rstrip("\n")
    if (known := os.environ.get(_PASSWORD)) is not None:
        return lambda _: known
    if not sys.stdin.isatty():
        raise UsageError("a password is needed and nobody can be asked", fix=f"use --password-fd, or set {_PASSWORD}")
    return lambda what: str(click.prompt(what, hide_input=True, confirmation_prompt=confirm, err=True))

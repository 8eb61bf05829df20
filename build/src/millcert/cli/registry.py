"""What the commands about images in registries share: the client, a live line of progress, the choice of an image."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Self

import click

from millcert.cli.console import messages

if TYPE_CHECKING:
    from rich.progress import TaskID

    from millcert.image.registry import Registry

__all__ = ["TransferProgress", "architecture_option", "open_registry", "own_architecture"]


def own_architecture() -> str:
    """This machine's architecture as images name it; amd64 where it is none that images are built for."""
    from millcert.image.edition import PLATFORMS

    return PLATFORMS.get(platform.machine(), "amd64")


architecture_option = click.option(
    "--arch", "architecture", type=click.Choice(["amd64", "arm64"]), default=own_architecture,
    help="Which image of an index that has several (default: this machine's).",
)  # fmt: skip


class TransferProgress:
    """A live line of the bytes that went or came; silent where standard error is no terminal."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._live = Progress(*columns, console=messages(), transient=True, disable=not messages().is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def __call__(self, digest: str, done: int, size: int) -> None:
        if digest not in self._tasks:
            self._tasks[digest] = self._live.add_task(digest[:12], total=size)
        self._live.update(self._tasks[digest], completed=done)


def open_registry(text: str) -> tuple[Registry, str]:
    """The repository that a reference names, and what the reference wants of it."""
    from millcert.image.credentials import machine_credentials
    from millcert.image.reference import parse_reference
    from millcert.image.registry import Registry
    from millcert.image.session import RegistrySession

    reference = parse_reference(text)
    return Registry(reference, RegistrySession(machine_credentials(os.environ))), reference.wanted

"""What a sandbox is asked to do and what it answers, free of how it does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from millcert.targets import Limits

__all__ = ["Mount", "Outcome", "Sandbox", "Step"]


@dataclass(frozen=True)
class Mount:
    """A folder of the host that the step sees read-only at a fixed path."""

    source: Path
    target: str


@dataclass(frozen=True)
class Step:
    """One command on a pinned root; ``output`` is the only writable folder, seen as ``/out``."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    root: Path
    mounts: tuple[Mount, ...]
    output: Path
    directory: str
    limits: Limits


@dataclass(frozen=True)
class Outcome:
    """How a step ended: exit status, what it printed, the limit that stopped it, why its program did not even start."""

    status: int
    log: str
    exceeded: str = ""
    not_started: str = ""


class Sandbox(Protocol):
    """Runs a step to its end, leaving no process behind."""

    def run(self, step: Step) -> Outcome:
        """Run the step; SandboxError where the sandbox itself cannot be made."""
        ...

    def interrupt(self) -> None:
        """Stop the steps that run now; their ``run`` raises KeyboardInterrupt."""
        ...

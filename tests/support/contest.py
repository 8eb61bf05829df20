"""Attacks as rows of a table: what pip alone, uv alone and millcert do, each of them run.

``python -m tests.support.contest`` runs every row and prints the table; ``--markdown`` prints what the documentation
holds. Nothing leaves loopback.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = [
    "Attack", "Contest", "Outcome", "installed", "installer_environment", "markdown", "pip_install", "run",
    "run_installer", "uv_install",
]  # fmt: skip

WHO = ("pip", "uv", "millcert")
_WORDS = {
    "ours": "takes ours", "stranger": "**takes the stranger's**", "old": "**takes an old one**",
    "endless": "**reads without end**", "nothing": "refuses",
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """Whose code is on the disk afterwards (a key of the words above), and what was said."""

    whose: str
    detail: str

    def __str__(self) -> str:
        return f"{_WORDS[self.whose].strip('*')}: {self.detail}"


class Contest(Protocol):
    """An attack that was prepared, and three who install."""

    def pip(self) -> Outcome:
        """What pip alone does."""

    def uv(self) -> Outcome:
        """What uv alone does."""

    def millcert(self) -> Outcome:
        """What millcert does."""


@dataclass(frozen=True)
class Attack:
    """One row: the attack, and what each is known to do; ``error`` is what millcert says where it refuses."""

    name: str
    scene: Callable[[Path], AbstractContextManager[Contest]]
    pip: str
    uv: str
    millcert: str
    error: str = ""


def run(attack: Attack, folder: Path) -> dict[str, Outcome]:
    """One attack on all three, prepared once."""
    with attack.scene(folder) as prepared:
        return {who: getattr(prepared, who)() for who in WHO}


def markdown(attacks: Sequence[Attack]) -> str:
    """The rows as the documentation holds them."""
    lines = ["| attack | pip alone | uv alone | millcert |", "|---|---|---|---|"]
    for attack in attacks:
        last = _WORDS[attack.millcert] + (f" (`{attack.error}`)" if attack.error else "")
        lines.append(f"| {attack.name} | {_WORDS[attack.pip]} | {_WORDS[attack.uv]} | {last} |")
    return "\n".join(lines) + "\n"


# -- installers


def installer_environment(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What an installer sees: nothing of this machine's configuration, and the attack's variables."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"], "HOME": str(home), "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_RETRIES": "0", "PIP_RESUME_RETRIES": "0", "PIP_NO_INPUT": "1",
        "UV_NO_CONFIG": "1", "UV_CACHE_DIR": str(folder / "uv-cache"), "UV_HTTP_RETRIES": "0",
        "UV_PYTHON": sys.executable, **(more or {}),
    }  # fmt: skip


def pip_install() -> list[str]:
    """The command for pip."""
    return [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:"]


def uv_install() -> list[str]:
    """The command for uv's pip interface."""
    found = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert found is not None, "uv is in lockfiles/tests"
    return [found, "pip", "install", "--no-progress", "--only-binary=:all:"]


def run_installer(command: Sequence[str], folder: Path, target: Path, environment: Mapping[str, str]) -> Outcome:
    """Run an installer into an empty folder: what it said, or whose modules are there."""
    result = subprocess.run(
        [*command, "--target", str(target)], env=environment, cwd=folder, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    if result.returncode:
        said = [line.strip(" ×╰─▶") for line in result.stderr.splitlines() if "rror" in line or "×" in line]
        return Outcome("nothing", _without_addresses(said[0] if said else result.stderr.strip()[-80:]))
    return installed(target)


def installed(target: Path) -> Outcome:
    """Whose files are in a folder, and the versions of what is there."""
    versions = sorted(folder.name.removesuffix(".dist-info") for folder in target.glob("*.dist-info"))
    written = [path for path in target.rglob("*") if path.suffix in (".py", ".pth", ".sh")]
    strangers = [path for path in written if b"stranger" in path.read_bytes()]
    return Outcome("stranger" if strangers else "ours", ", ".join(versions))


def _without_addresses(text: str) -> str:
    return " ".join(word for word in text.split() if "://" not in word and "127.0.0.1" not in word)[:110]


# -- the table


def all_attacks() -> tuple[Attack, ...]:
    """Every row, in the order of the documentation."""
    from tests.support.confusion import CONFUSION
    from tests.support.hostile import HOSTILE

    return (*CONFUSION, *HOSTILE)


def table(attacks: Sequence[Attack], folder: Path) -> Iterator[tuple[Attack, dict[str, Outcome]]]:
    """Every attack with what pip alone, uv alone and millcert did."""
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(run, attack, folder / str(number)) for number, attack in enumerate(attacks)]
        for attack, job in zip(attacks, jobs, strict=True):
            yield attack, job.result()


def main() -> None:
    """Print the table; fail where millcert let a stranger in, or anybody did what the table does not say."""
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--markdown", action="store_true", help="print what the rows say, and run nothing")
    attacks = all_attacks()
    if parser.parse_args().markdown:
        print(markdown(attacks), end="")
        return
    shown = Table("attack", "pip alone", "uv alone", "millcert", show_lines=True)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="attacks-") as folder:
        for attack, outcomes in table(attacks, Path(folder)):
            shown.add_row(attack.name, *(str(outcomes[who]) for who in WHO))
            wrong += any(outcomes[who].whose != getattr(attack, who) for who in WHO)
    Console(width=170).print(shown)
    print(f"{len(attacks)} attacks, {wrong} not as the table says")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

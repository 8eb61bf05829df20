"""Compiles the CUDA kernels for the oldest and the newest GPU of each variant: ``python -m tests.support.kernels``.

The build fails where a kernel takes more of a thread than csrc/cuda/limits.toml allows. Every GPU of every variant
would take a quarter of an hour of processor time, more than a test run should; a build of the wheels checks them all.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

__all__ = ["main", "reduced"]

ROOT = Path(__file__).parents[2]


def reduced(folder: Path) -> list[str]:
    """Make a copy of this project whose CUDA variants have two GPUs each; returns the variants."""
    ignored = shutil.ignore_patterns(".build", "*.so", "__pycache__", "_core.pyi")
    for name in ("ci", "framework", "lockfiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    targets = folder / "ci" / "targets.toml"
    text = re.sub(r"^gpu = \[(\d+),.* (\d+)\]", r"gpu = [\1, \2]", targets.read_text("utf-8"), flags=re.MULTILINE)
    targets.write_text(text, "utf-8")
    git = ["git", "-C", str(folder), "-c", "user.name=kernels", "-c", "user.email=kernels@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "kernels"]):
        subprocess.run([*git, *arguments], check=True)
    return [name for name, variant in tomllib.loads(text)["variants"].items() if "cuda" in variant]


def main() -> None:
    """Build; the exit status is the build's."""
    with tempfile.TemporaryDirectory() as folder:
        variants = reduced(Path(folder))
        environment = os.environ | {"PYTHONPATH": str(ROOT / "build" / "src")}
        command = [sys.executable, "-m", "millcert", "build", *variants, "--arch", "x86_64", "--project", folder]
        sys.exit(subprocess.run(command, env=environment).returncode)


if __name__ == "__main__":
    main()

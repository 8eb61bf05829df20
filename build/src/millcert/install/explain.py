"""Why an installed project, or a wheel, is believed: what was verified, and whether the files are still those."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from millcert.errors import UsageError
from millcert.install.environment import Environment
from millcert.install.state import State
from millcert.model import digest_of_file

__all__ = ["explain_installed", "explain_wheel"]


def explain_wheel(state: State, wheel: Path) -> dict[str, Any]:
    """The summary and the evidence of a wheel's bytes, whatever the file is called."""
    digest = digest_of_file(wheel)
    for summary, evidence in state.summaries():
        if summary["subject"][0]["digest"]["sha256"] == digest:
            return {"summary": summary, "chain": evidence}
    raise UsageError("this machine verified no wheel with these bytes", file=wheel, sha256=digest, fix=_FIX)


def explain_installed(state: State, name: str, environment: Environment) -> dict[str, Any]:
    """The same for an installed project; ``altered`` lists the files that are no longer what was verified."""
    version, folder = environment.installed(name)
    for summary, evidence in state.summaries():
        if (evidence["project"], evidence["version"]) == (name, version):
            altered = [path for path, sha256 in sorted(evidence["files"].items()) if not _is(folder, path, sha256)]
            return {"summary": summary, "chain": evidence, "installed": str(folder), "altered": altered}
    raise UsageError("this machine verified no such installation", project=name, version=version, fix=_FIX)


_FIX = "install it with `millcert install`; what another tool installed has no evidence"


def _is(folder: Path, path: str, sha256: str) -> bool:
    if ".data/" in path:
        return True  # pip moves, and for scripts rewrites, these
    file = folder / path
    return file.is_file() and digest_of_file(file) == sha256

"""The sample's CPU wheel, built once with the warm store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.hermetic import Lab, run_millcert, sample_project

from millcert.store import Store

# not proven again by each test, which would take minutes: `nox -s repro` does that
_OBJECTS = tuple(f"compile-x86_64-csrc-{name}.o" for name in ("module", "cpu-sum.avx2", "cpu-sum.baseline"))
LENT = ("root", "zig", "checks", "python-headers", "runtime-x86_64", *_OBJECTS, "link-x86_64")
REUSE = tuple(word for name in LENT for word in ("--reuse", name))


@dataclass(frozen=True)
class Built:
    """A project's checkout and its one wheel, with provenance and SBOM beside it."""

    project: Path
    wheel: Path


@pytest.fixture(scope="session")
def built(warm_store: Store, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    project = sample_project(folder / "project")
    done = run_millcert("build", "cpu", "--arch", "x86_64", "--project", str(project), "--dist", str(folder / "dist"))
    assert done.returncode == 0, done.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    return Built(project, wheel)

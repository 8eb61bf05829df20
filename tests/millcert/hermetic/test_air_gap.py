"""Building without a network: a kit carried to an empty store, or a shared store, gives the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.hermetic import Lab, run_millcert, sample_project

from millcert.store import Store
from millcert.store.references import records, tree_or_none

# lent to the new store so that this takes seconds: the root is unpacked from the kit, the wheel packed on it
OBJECTS = tuple(f"compile-x86_64-csrc-{name}.o" for name in ("module", "cpu-sum.avx2", "cpu-sum.baseline"))
LENT = ("checks", "python-headers", "runtime-x86_64", "zig", "link-x86_64", *OBJECTS)


@pytest.fixture(scope="module")
def project(warm_store: Store, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = sample_project(tmp_path_factory.mktemp("air") / "project")
    done = run_millcert("build", "cpu", "--arch", "x86_64", "--project", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def digest_in(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    (wheel,) = json.loads(done.stdout)["wheels"]
    return str(wheel["sha256"])


def lend(source: Store, root: Path) -> None:
    """Put what some steps gave into another store."""
    store = Store(root)
    for record in records(source):
        tree = tree_or_none(source, record.tree)
        if record.name not in LENT or tree is None:
            continue
        files = [(entry.digest, entry.executable) for entry in tree.entries if entry.digest]
        for digest, executable in [(record.tree, False), *files]:
            path = source.root / "blobs" / digest[:2] / (f"{digest}.x" if executable else digest)
            target = root / "blobs" / digest[:2] / path.name
            target.parent.mkdir(exist_ok=True)
            if not target.exists():
                shutil.copy2(path, target) if root.stat().st_dev != path.stat().st_dev else os.link(path, target)
        store.put_record(record.key, record.tree, name=record.name)


def test_a_build_from_a_kit_with_no_network_gives_the_same_bytes(
    warm_store: Store, project: Path, tmp_path: Path
) -> None:
    before = digest_in(run_millcert("build", "cpu", "--arch", "x86_64", "--project", str(project), "--json"))
    locks = ("--lock", "toolchain/any", "--lock", "toolchain/checks", "--lock", "debian/base")
    kit = tmp_path / "folder" / "kit.tar"  # made where it is not there
    exported = run_millcert("store", "export", *locks, "--project", str(project), "--output", str(kit))
    assert exported.returncode == 0, exported.stderr
    store = tmp_path / "store"
    imported = run_millcert("store", "import", str(kit), "--store", str(store), "--json")
    assert imported.returncode == 0, imported.stderr
    lend(warm_store, store)
    # the machine has no network (for root, who may take it away), and its indexes and mirrors lie nowhere
    offline = ("unshare", "--net") if os.geteuid() == 0 else ()
    nowhere = {"PIP_INDEX_URL": "http://192.0.2.1/", "MILLCERT_DEBIAN_MIRROR": "http://192.0.2.1/"}
    build = ("build", "cpu", "--arch", "x86_64", "--project", str(project), "--store", str(store))
    trace = tmp_path / "trace.json"
    done = run_millcert(
        *build, "--dist", str(tmp_path / "dist"), "--json", "--timings", str(trace), env=nowhere, prefix=offline
    )
    assert digest_in(done) == before
    drawn = [event["name"] for event in json.loads(trace.read_bytes())["traceEvents"] if event["ph"] == "X"]
    assert {"root", "wheel-cpu-x86_64", "check-wheel-cpu-x86_64"} <= set(drawn)
    assert not set(drawn) & set(LENT), "what was looked up took no time"


def test_a_kit_without_its_files_is_not_made(project: Path, tmp_path: Path) -> None:
    kit = tmp_path / "kit.tar"
    done = run_millcert(
        "store", "export", "--project", str(project), "--store", str(tmp_path / "empty"), "--output", str(kit)
    )
    assert done.returncode == 7
    assert "millcert fetch" in done.stderr
    assert not kit.exists()


def test_a_shared_store_spares_the_network(warm_store: Store, project: Path, tmp_path: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://192.0.2.1/", "MILLCERT_DEBIAN_MIRROR": "http://192.0.2.1/"}
    store = tmp_path / "store"
    lend(warm_store, store)
    build = ("build", "cpu", "--arch", "x86_64", "--project", str(project), "--store", str(store), "--json")
    done = run_millcert(*build, "--store-from", str(warm_store.root), "--dist", str(tmp_path / "dist"), env=nowhere)
    (wheel,) = (project / "dist").glob("*.whl")
    assert (tmp_path / "dist" / wheel.name).read_bytes() == wheel.read_bytes(), done.stderr


def test_a_kit_that_finds_the_disk_full_says_so(warm_store: Store, project: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "millcert", "store", "export", "--lock", "debian/base"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(command, cwd=project, env=environment, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 8
    assert done.stderr.startswith("error: no space is left")

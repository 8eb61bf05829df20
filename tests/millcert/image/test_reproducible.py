"""The same inputs give the same image, whoever builds it, where, when, and in whatever order they are listed."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.hermetic import ROOT, Quiet
from tests.support.images import Gallery, Workshop, blob, config_of, make_workshop, manifest_of, seed

from millcert.hermetic.build import Builder
from millcert.image.project import ImageProject
from millcert.sandbox import Bubblewrap
from millcert.store import Store
from millcert.wheel.project import UNPACKERS, Project


def blobs_of(layout: Path) -> dict[str, bytes]:
    """Everything in a layout by its path."""
    return {str(path.relative_to(layout)): path.read_bytes() for path in sorted(layout.rglob("*")) if path.is_file()}


def shuffle(lock: Path) -> None:
    """Put a lock's lines (its blocks, for wheels) in another order."""
    text = lock.read_text()
    parts = text.splitlines(keepends=True)
    if lock.suffix == ".txt":
        blocks: list[str] = []
        for line in parts:
            blocks += [line] if not line.startswith(" ") else []
            blocks[-1] += line if line.startswith(" ") else ""
        parts = blocks
    random.Random(7).shuffle(parts)
    assert parts != text.splitlines(keepends=True)
    lock.write_text("".join(parts))


@pytest.mark.slow
def test_another_folder_user_clock_umask_zone_seed_and_order_give_the_same_bytes(gallery: Gallery, tmp_path):
    here = gallery.cpu.folder
    warm = gallery.workshop.store
    store = Store(tmp_path / "another store")
    root = tmp_path / "another place" / "project"
    root.parent.mkdir()
    workshop = make_workshop(root, store)
    pinned = [material.digest for material in gallery.cpu.materials]
    seed(store, warm, pinned)
    for lock in ("debian/image-main.lock", "debian/base.lock", "runtime/cpu.txt"):
        shuffle(root / "lockfiles" / lock)
    # the commit is the same only if its time is; the files of the locks differ, so name the revision by hand
    script = tmp_path / "build.py"
    script.write_text(
        "import pathlib, sys\n"
        "from millcert.store import Store\n"
        "from millcert.hermetic.revision import Revision\n"
        "from tests.support import images\n"
        f"images.read_revision = lambda root: Revision({_commit(gallery)!r}, {_time(gallery)!r}, False, (), '')\n"
        "root, store, wheel, dist = map(pathlib.Path, sys.argv[1:])\n"
        "images.Workshop(root, Store(store), {'cpu': wheel}).build('cpu', dist=dist)\n"
    )
    environment = {
        **os.environ, "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "4242", "LANG": "tr_TR.UTF-8", "HOME": str(tmp_path),
        "SOURCE_DATE_EPOCH": "1", "PYTHONPATH": f"{ROOT / 'build' / 'src'}:{ROOT}", "USER": "somebody",
    }  # fmt: skip
    command = [sys.executable, str(script), root, store.root, workshop.wheels["cpu"], tmp_path / "dist"]
    result = subprocess.run(command, cwd="/", env=environment, umask=0o077, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert blobs_of(tmp_path / "dist" / "images" / "cpu") == blobs_of(here)
    assert (tmp_path / "dist/images/cpu.manifest.json.cdx.json").read_bytes() == Path(
        f"{gallery.cpu.manifest}.cdx.json"
    ).read_bytes()


def _commit(gallery: Gallery) -> str:
    labels = manifest_of(gallery.cpu.folder)["annotations"]
    return str(labels["org.opencontainers.image.revision"])


def _time(gallery: Gallery) -> int:
    command = ["git", "-C", str(gallery.workshop.root), "log", "-1", "--format=%ct"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_build_without_changes_runs_nothing_and_writes_the_same(gallery, tmp_path):
    again, quiet = gallery.workshop.build("cpu", dist=tmp_path)
    assert quiet.ran == []
    assert again[0].digest == gallery.cpu.digest
    assert blobs_of(again[0].folder) == blobs_of(gallery.cpu.folder)


def test_a_changed_wheel_packs_its_own_layer_and_no_other(gallery, tmp_path):
    from tests.support.images import SAMPLE, VERSION, write_wheel

    wheel = write_wheel(tmp_path, "millsample", f"{VERSION}+cpu", {**SAMPLE, "millsample/new.py": b"x = 1\n"})
    changed = Workshop(gallery.workshop.root, gallery.workshop.store, {"cpu": wheel})
    built, quiet = changed.build("cpu", dist=tmp_path / "dist")
    assert set(quiet.ran) <= {"unpack-millsample-cpu", "gzip-millsample-cpu"}
    before, after = (manifest_of(image.folder)["layers"] for image in (gallery.cpu, built[0]))
    assert before[:3] == after[:3]
    assert before[3] != after[3]


def test_blobs_no_image_has_any_more_leave_the_layout(gallery, tmp_path):
    built, _ = gallery.workshop.build("cpu", dist=tmp_path)
    stale = blob(built[0].folder, "0" * 64)
    stale.write_bytes(b"of an earlier build")
    gallery.workshop.build("cpu", dist=tmp_path)
    assert not stale.exists()


def test_a_layer_is_the_same_archive_in_both_compressions(gallery, tmp_path):
    """The project's layer alone, so that nothing large is packed at zstd's highest level."""
    images = ImageProject(Project(gallery.workshop.root), frozen=True)
    store = gallery.workshop.store
    plan, _ = images.plan(store, {"cpu": gallery.workshop.wheels["cpu"]}, ["gzip", "zstd"])
    names = ["root", "zstd", "unpack-millsample-cpu", "gzip-millsample-cpu", "zstd-millsample-cpu"]
    limits = images.project.targets.limits
    builder = Builder(store, Bubblewrap, UNPACKERS, limits, Quiet(), jobs=2)
    built = builder.build(plan.nodes[name] for name in names)
    layers = {name: store.tree_file(built[f"{name}-millsample-cpu"].tree, "layer") for name in ("gzip", "zstd")}
    archive = gzip.decompress(layers["gzip"].read_bytes())
    assert layers["zstd"].read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
    assert f"sha256:{hashlib.sha256(archive).hexdigest()}" == config_of(gallery.cpu.folder)["rootfs"]["diff_ids"][-1]
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed (apt-get install zstd)")
    unpacked = subprocess.run(["zstd", "-dc", str(layers["zstd"])], capture_output=True, check=True).stdout
    assert unpacked == archive

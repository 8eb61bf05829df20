"""``millcert image build`` as a person runs it: tables, JSON, budgets, and recipes that are wrong."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.support.hermetic import ROOT, commit
from tests.support.images import Gallery, seed
from tests.support.serving import answering

from millcert.debian import DebianPackage, SupersededError, read_lock
from millcert.errors import ConfigError, UsageError
from millcert.image.audit import audit
from millcert.image.project import ImageProject
from millcert.image.recipe import load_recipe
from millcert.lock import read_lock as read_wheels
from millcert.lock import select
from millcert.model import Digest
from millcert.store import Store
from millcert.wheel.project import Project


def millcert(gallery: Gallery, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "MILLCERT_STORE": str(gallery.workshop.store.root),
        "PYTHONPATH": str(ROOT / "build/src"),
    }
    command = [sys.executable, "-m", "millcert", "image", *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def project(gallery: Gallery, tmp_path: Path) -> Path:
    return Path(shutil.copytree(gallery.workshop.root, tmp_path / "project", ignore=shutil.ignore_patterns("dist")))


def build(gallery: Gallery, project: Path, *more: str) -> subprocess.CompletedProcess[str]:
    wheel = project / "wheels" / gallery.workshop.wheels["cpu"].name
    return millcert(
        gallery, project, "build", "--base", "--arch", "x86_64", "--wheel", str(wheel), "--compression", "gzip", *more
    )


def test_build_prints_layers_with_their_budgets_and_where_the_image_is(gallery, project):
    result = build(gallery, project)
    assert result.returncode == 0, result.stderr
    assert "base" in result.stdout
    assert "13.00 MB" in result.stdout
    assert gallery.cpu.digest in result.stdout
    statement = json.loads((project / "dist/images/cpu.manifest.json.provenance.json").read_bytes())
    assert statement["subject"] == [{"name": "cpu.manifest.json", "digest": {"sha256": gallery.cpu.digest}}]
    pinned = {entry["name"] for entry in statement["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert {"libc6", "numpy", "millsample"} <= pinned


def test_a_second_build_is_json_that_says_everything_was_looked_up(gallery, project):
    result = build(gallery, project, "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert [layer["cached"] for layer in document["images"][0]["layers"]] == [True] * 4
    assert sum(layer["bytes"] for layer in document["images"][0]["layers"]) == document["images"][0]["bytes"]


def test_what_is_beside_a_layout_is_about_the_images_in_it(gallery, project):
    assert build(gallery, project).returncode == 0
    folder = project / "dist/images"
    signature = folder / "cpu.manifest.json.sigstore.json"
    for path in (signature, folder / "cpu.zstd.manifest.json", folder / "cpu.zstd.manifest.json.sigstore.json"):
        path.write_text("{}")
    assert build(gallery, project).returncode == 0
    assert list(folder.glob("cpu.zstd*")) == []  # made by no build of this layout
    assert signature.exists()  # the same image again
    sample = project / "ci/image.toml"
    sample.write_text(sample.read_text().replace('title = "wootz"', 'title = "another"'))
    commit(project)
    assert build(gallery, project).returncode == 0
    assert not signature.exists()


def test_a_heavy_layer_fails_the_build_with_the_table(gallery, project):
    targets = project / "ci/targets.toml"
    targets.write_text(targets.read_text().replace("base = 13_000_000", "base = 1_000_000"))
    commit(project)
    result = build(gallery, project)
    assert result.returncode == 11
    assert "too heavy" in result.stdout
    assert "allowed 1.00 MB" in result.stderr
    as_json = build(gallery, project, "--json")
    assert as_json.returncode == 11
    assert "allowed 1.00 MB" in json.dumps(json.loads(as_json.stdout))  # one document


def test_a_layer_without_a_budget_is_refused(gallery, project):
    targets = project / "ci/targets.toml"
    targets.write_text(targets.read_text().replace("millsample = 10_000\n", ""))
    commit(project)
    result = build(gallery, project)
    assert result.returncode == 3
    assert "images.layer_bytes.millsample" in result.stderr


@pytest.mark.parametrize("name", ["cu999", "cpu-slim"])
def test_a_budget_for_no_variant_is_refused(name, gallery, project):
    targets = project / "ci/targets.toml"
    targets.write_text(targets.read_text() + f"{name} = 5\n")
    result = build(gallery, project)
    assert result.returncode == 3
    assert name in result.stderr


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["cpu"], ["cpu", "cpu-arm64"]),
        (["cpu-arm64"], ["cpu-arm64"]),
        (["cu129", "cpu-arm64"], ["cpu-arm64", "cu129", "cu129-slim"]),
        ([], ["cpu", "cpu-arm64", "cu129", "cu129-slim"]),
    ],
)
def test_a_variants_name_stands_for_all_of_its_images(names, chosen, gallery):
    images = ImageProject(Project(gallery.workshop.root))
    assert [edition.name for edition in images.editions(names)] == chosen


def test_an_unknown_image_is_refused_with_those_there_are(gallery):
    with pytest.raises(UsageError, match="no image 'cpu-slim'") as caught:
        ImageProject(Project(gallery.workshop.root)).editions(["cpu", "cpu-slim"])
    assert caught.value.evidence["expected"] == "cpu, cpu-arm64, cu129, cu129-slim"


def test_a_wheel_for_none_of_the_chosen_images_is_refused(gallery, project):
    result = build(gallery, project, "cpu", "cu129")
    assert result.returncode == 2
    assert "variant: cu129" in result.stderr


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('why = "manuals; licences stay"\n', "", "why"),
        ('layers = ["base"]', 'layers = ["bass"]', "bass"),
        ('licenses = "Apache-2.0"', 'licences = "Apache-2.0"', "licences"),
        ('healthcheck = """', 'healthcheck = """\n1 +', "healthcheck"),
        ("[image.environment]", "[image.environment", "TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_with_what_is_wrong(old, new, named, tmp_path):
    path = tmp_path / "image.toml"
    path.write_text((ROOT / "ci/image.toml").read_text().replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert named in str(caught.value)


def test_the_frozen_lock_asks_for_the_same_packages_as_the_one_with_updates():
    folder = ROOT / "lockfiles/debian"
    wanted = [
        [line for line in (folder / name).read_text().splitlines() if line and line[0] not in "#" and ":" not in line]
        for name in ("image.in", "image-main.in")
    ]
    assert wanted[0] == wanted[1]
    locked = [
        {(line.split()[0], line.split()[2]) for line in (folder / name).read_text().splitlines() if line[0] != "#"}
        for name in ("image.lock", "image-main.lock")
    ]
    assert locked[0] == locked[1]
    names = [{name for name, found in locked[0] if found == architecture} for architecture in ("amd64", "arm64")]
    assert names[0] == names[1]


@contextlib.contextmanager
def empty_mirror() -> Iterator[str]:
    """A Debian mirror that has dropped everything."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Empty)) as address:
        yield f"{address}/"


def test_a_security_update_that_took_a_pins_place_is_named_with_both_ways_out(gallery, tmp_path, monkeypatch):
    images = ImageProject(Project(gallery.workshop.root))
    store = Store(tmp_path / "store")
    wheels = [material.digest for material in gallery.cpu.materials if "pypi" in material.uri]
    base = read_lock(ROOT / "lockfiles/debian/base.lock").packages
    tools = [file.digest for _, file in select(read_wheels(ROOT / "lockfiles/toolchain/images.txt"))]
    seed(store, gallery.workshop.store, [*wheels, *tools, *(package.digest for package in base)])
    with empty_mirror() as address:
        monkeypatch.setenv("MILLCERT_DEBIAN_MIRROR", address)
        monkeypatch.setenv("MILLCERT_DEBIAN_SECURITY_MIRROR", address)
        with pytest.raises(SupersededError) as caught:
            images.fetch(store, images.editions(["cpu"]), lambda *_: None)
    assert ".deb" in str(caught.value)
    assert "millcert lock debian/image" in caught.value.fix
    assert "--base" in caught.value.fix


def package(name: str, version: str, *, security: bool = False) -> DebianPackage:
    pool = f"pool/{'updates/' if security else ''}main/x/{name}_{version}_amd64.deb"
    return DebianPackage(name, version, "amd64", 1, Digest("0" * 64), pool)


def test_the_audit_names_what_is_newer_gone_or_new_with_security_first():
    locked = [package("a", "1"), package("b", "1"), package("c", "1"), package("same", "1")]
    newest = [package("a", "2"), package("c", "1.1", security=True), package("d", "1"), package("same", "1")]
    found = [(item.name, item.locked, item.newest, item.security) for item in audit(locked, newest)]
    assert found == [("c", "1", "1.1", True), ("a", "1", "2", False), ("b", "1", "", False), ("d", "", "1", False)]

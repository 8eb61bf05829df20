"""``millcert image build`` as a person runs it: tables, JSON, budgets, and recipes that are wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.hermetic import ROOT, commit
from tests.support.images import Gallery

from millcert.errors import ConfigError
from millcert.image.recipe import load_recipe


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
    return millcert(gallery, project, "build", "--base", "--wheel", str(wheel), "--compression", "gzip", *more)


def test_build_prints_layers_with_their_budgets_and_where_the_image_is(gallery, project):
    result = build(gallery, project)
    assert result.returncode == 0, result.stderr
    assert "base" in result.stdout
    assert "16.00 MB" in result.stdout
    assert gallery.cpu.digest in result.stdout
    statement = json.loads((project / "dist/images/cpu.manifest.json.provenance.json").read_bytes())
    assert statement["subject"] == [{"name": "cpu.manifest.json", "digest": {"sha256": gallery.cpu.digest}}]
    pinned = {entry["name"] for entry in statement["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert {"libc6", "numpy", "millsample"} <= pinned


def test_a_second_build_is_json_that_says_everything_was_looked_up(gallery, project):
    result = build(gallery, project, "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert [layer["cached"] for layer in document["images"][0]["layers"]] == [True, True, True]
    assert sum(layer["bytes"] for layer in document["images"][0]["layers"]) == document["images"][0]["bytes"]


def test_a_heavy_layer_fails_the_build_with_the_table(gallery, project):
    targets = project / "ci/targets.toml"
    targets.write_text(targets.read_text().replace("base = 16_000_000", "base = 1_000_000"))
    commit(project)
    result = build(gallery, project)
    assert result.returncode == 11
    assert "too heavy" in result.stdout
    assert "allowed 1.00 MB" in result.stderr


def test_a_layer_without_a_budget_is_refused(gallery, project):
    targets = project / "ci/targets.toml"
    targets.write_text(targets.read_text().replace("millsample = 10_000\n", ""))
    commit(project)
    result = build(gallery, project)
    assert result.returncode == 3
    assert "images.layer_bytes.millsample" in result.stderr


def test_a_budget_for_no_variant_is_refused(gallery, project):
    targets = project / "ci/targets.toml"
    targets.write_text(targets.read_text() + "cu999 = 5\n")
    result = build(gallery, project)
    assert result.returncode == 3
    assert "cu999" in result.stderr


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
        {line.split()[0] for line in (folder / name).read_text().splitlines() if line[0] != "#"}
        for name in ("image.lock", "image-main.lock")
    ]
    assert locked[0] == locked[1]

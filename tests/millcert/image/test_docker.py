"""The Dockerfile built by a real Docker daemon, with the classic builder and with BuildKit, and run there."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.docker import Docker, docker_daemon
from tests.support.hermetic import ROOT
from tests.support.images import Files, config_of, files_of, files_of_archives
from tests.support.wootz_image import WootzImage, write_tutorial

BUILDERS = {"classic": "0", "buildkit": "1"}


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    try:
        with docker_daemon() as running:
            yield running
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def context(wootz_image: WootzImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build context with what `millcert image build` laid down."""
    folder = tmp_path_factory.mktemp("context")
    shutil.copytree(wootz_image.folder / "cpu.layers", folder / "dist/images/cpu.layers")
    shutil.copy(ROOT / "Dockerfile", folder)
    return folder


@pytest.fixture(scope="module", params=BUILDERS)
def built(request: pytest.FixtureRequest, docker: Docker, context: Path) -> str:
    """The name of the image that one of the two builders made."""
    tag = f"test:{request.param}"
    result = docker("build", "--network=none", "-t", tag, str(context), DOCKER_BUILDKIT=BUILDERS[request.param])
    assert result.returncode == 0, result.stderr.decode()
    return tag


def saved(docker: Docker, tag: str) -> tuple[Files, dict[str, object]]:
    """The files of an image of the daemon's, and its config."""
    result = docker("save", tag)
    assert result.returncode == 0, result.stderr.decode()
    with tarfile.open(fileobj=io.BytesIO(result.stdout)) as archive:

        def member(name: str) -> bytes:
            stream = archive.extractfile(name)
            assert stream is not None
            return stream.read()

        (manifest,) = json.loads(member("manifest.json"))
        layers = [member(name) for name in manifest["Layers"]]
        return files_of_archives(io.BytesIO(layer) for layer in layers), json.loads(member(manifest["Config"]))


@pytest.mark.slow
def test_docker_builds_the_same_files_and_says_the_same_about_them(built, docker, wootz_image):
    files, config = saved(docker, built)
    assert files == files_of(wootz_image.image.folder)
    ours, theirs = config_of(wootz_image.image.folder)["config"], config["config"]
    for key in ("User", "Entrypoint", "WorkingDir", "Healthcheck"):
        assert theirs[key] == ours[key]
    assert sorted(theirs["Env"]) == sorted(ours["Env"])


@pytest.mark.slow
def test_docker_trains_the_tutorial_in_it_with_a_read_only_root_and_no_network(built, docker):
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are for their owner alone
        work = Path(name) / "work"
        Path(name).chmod(0o755)
        script = write_tutorial(work)
        result = docker("run", "--rm", "--network=none", "--read-only", "-v", f"{work}:/work", built, script)
        assert result.returncode == 0, result.stderr.decode()
        assert (work / "digits.safetensors").stat().st_size > 1000


@pytest.mark.slow
def test_the_daemon_finds_the_container_healthy(built, docker):
    sleep = ["-c", "import time; time.sleep(60)"]
    started = docker("run", "-d", "--network=none", "--read-only", "--health-interval=1s", built, *sleep)
    assert started.returncode == 0, started.stderr.decode()
    name = started.stdout.decode().strip()
    try:
        status, end = "starting", time.monotonic() + 60
        while status == "starting" and time.monotonic() < end:
            status = docker("inspect", "--format", "{{.State.Health.Status}}", name).stdout.decode().strip()
        assert status == "healthy"
    finally:
        docker("rm", "-f", name)

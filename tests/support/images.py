"""Images in tests: a project with this repository's locks and rules, layers laid out, programs run in the result.

Its CUDA variant is made of tiny wheels in CuPy's and NVIDIA's names, so that a CUDA image costs no gigabytes.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import shutil
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
from tests.support.hermetic import ROOT, Quiet, commit

from millcert.errors import FetchError, SandboxError
from millcert.hermetic.revision import read_revision
from millcert.image.project import BuiltImage, ImageProject
from millcert.model import Digest
from millcert.store import Store
from millcert.wheel.project import Project

__all__ = [
    "HEALTHCHECK",
    "Files",
    "Gallery",
    "Workshop",
    "blob",
    "config_of",
    "files_of",
    "files_of_archives",
    "gallery",
    "lay_out",
    "layer_names",
    "make_workshop",
    "manifest_of",
    "run_inside",
    "seed",
    "write_wheel",
]

VERSION = "0.1.0.dev20261123"
PACKAGE = b'''"""A tiny model of a training library."""

import numpy


def gradient(x):
    """The derivative of the sum of squares."""
    return 2 * numpy.asarray(x)
'''
HEALTHCHECK = "import millsample\nassert millsample.gradient([3.0])[0] == 6.0\n"
TARGETS = """
[project]
name = "millsample"
source = "src"
python_tag = "py3"
abi_tag = "none"

[architectures.x86_64]
zig_target = "x86_64-linux-gnu.2.17"
platform_tag = "manylinux_2_17_x86_64"

[architectures.aarch64]
zig_target = "aarch64-linux-gnu.2.17"
platform_tag = "manylinux_2_17_aarch64"

[variants.cpu]
architectures = ["x86_64", "aarch64"]

[variants.cu129]
architectures = ["x86_64"]
cuda = "12.9"
gpu = [70]
cupy = "cupy-cuda12x"

[limits]
wall_seconds = 600
memory_mib = 4096
processes = 64
output_mib = 1024
log_mib = 4

[images.layer_bytes]
base = 13_000_000
bytecode = 5_000_000
wheels = 17_000_000
cupy-cuda12x = 10_000
cupy-cuda12x-slim = 10_000
"cuda-12.9" = 10_000
"cublas-12.9" = 10_000
millsample = 10_000

[images.image_bytes]
cpu = 34_000_000
cu129 = 34_000_000
cu129-slim = 34_000_000
"""


@dataclass
class Workshop:
    """A project to build images of, its store, and its wheels by variant."""

    root: Path
    store: Store
    wheels: dict[str, Path]

    def build(self, *names: str, dist: Path | None = None, fresh: bool = False) -> tuple[list[BuiltImage], Quiet]:
        """The gzip images of some editions from Debian's frozen archive, and what was run for them."""
        project = Project(self.root)
        images = ImageProject(project, frozen=True)
        images.fetch(self.store, [edition for edition in images.editions() if edition.name in names], _silent)
        quiet = Quiet()
        built = images.build(
            self.store, {name: self.wheels[name.partition("-")[0]] for name in names}, read_revision(self.root),
            quiet, jobs=2, compressions=["gzip"], fresh=fresh, dist=dist,
        )  # fmt: skip
        return built, quiet


def seed(store: Store, source: Store, digests: Iterable[Digest]) -> None:
    """Put blobs of one store into another one."""
    for digest in digests:
        if not store.has(digest):
            store.add_file(source.path(digest))


def _silent(filename: str, received: int, size: int) -> None:
    pass


def make_workshop(root: Path, store: Store) -> Workshop:
    """A project in a new folder; its own wheels are in the store, all others are the repository's locks."""
    (root / "ci").mkdir(parents=True)
    head, _, tail = (ROOT / "ci" / "image.toml").read_text().partition('healthcheck = """')
    rest = tail.partition('"""')[2]
    (root / "ci" / "image.toml").write_text(f'{head}healthcheck = """\n{HEALTHCHECK}"""{rest}')
    (root / "ci" / "targets.toml").write_text(TARGETS)
    shutil.copytree(ROOT / "lockfiles", root / "lockfiles")
    wheels = {
        name: write_wheel(root / "wheels", "millsample", f"{VERSION}+{name}", SAMPLE) for name in ("cpu", "cu129")
    }
    cupy = write_wheel(root / "wheels", "cupy-cuda12x", "14.0", CUPY)
    cublas = write_wheel(root / "wheels", "nvidia-cublas-cu12", "12.9", CUBLAS)
    nvrtc = write_wheel(root / "wheels", "nvidia-cuda-nvrtc-cu12", "12.9", NVRTC)
    runtime = root / "lockfiles" / "runtime"
    (runtime / "cu129.txt").write_bytes((runtime / "cpu.txt").read_bytes() + pin_lines(cupy, "runtime/cu129.in"))
    (root / "lockfiles" / "images").mkdir(exist_ok=True)
    (root / "lockfiles" / "images" / "cu129.txt").write_bytes(
        pin_lines(cublas, "images/cu129.in") + pin_lines(nvrtc, "images/cu129.in")
    )
    for wheel in (cupy, cublas, nvrtc):
        store.ensure_file(wheel)
    commit(root)
    return Workshop(root, store, wheels)


SAMPLE = {"millsample/__init__.py": PACKAGE, "millsample/tests/__init__.py": b""}


# a file for each rule about it
CUPY = {
    "cupy/__init__.py": b"",
    "cupy/tests/test_a.py": b"",
    **{f"cupy/{name}": b"x" for name in ("_core/include/a.cuh", "cuda/cub.so", "cuda/jitify.so", "cuda/thrust.so")},
    "cupy_backends/cuda/libs/nccl.so": b"x",
    "cupyx/jit/rawkernel.cu": b"x",
}


CUBLAS = {
    "nvidia/__init__.py": b"",
    **{f"nvidia/cublas/{name}": b"x" for name in ("lib/libcublas.so.12", "lib/libnvblas.so.12", "include/cublas.h")},
}


NVRTC = {
    "nvidia/__init__.py": b"",
    **{f"nvidia/nvrtc/{name}": b"x" for name in ("lib/libnvrtc.so.12", "lib/libnvrtc.alt.so.12", "include/nvrtc.h")},
}


def pin_lines(wheel: Path, via: str) -> bytes:
    """A wheel as a lock pins it."""
    name, version = wheel.name.split("-")[:2]
    digest, size = hashlib.sha256(wheel.read_bytes()).hexdigest(), wheel.stat().st_size
    lines = [
        f"{name.replace('_', '-')}=={version} \\", f"    --hash=sha256:{digest}", "    # index: pypi",
        f"    # file: {digest} {size} {wheel.name}", f"    # via -r lockfiles/{via}",
    ]  # fmt: skip
    return ("\n".join(lines) + "\n").encode()


def write_wheel(
    folder: Path, name: str, version: str, files: Mapping[str, bytes], *, unlisted: Sequence[str] = ()
) -> Path:
    """A wheel of these files; its RECORD lists all but the ``unlisted`` ones."""
    folder.mkdir(parents=True, exist_ok=True)
    name = name.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    members = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    stream = io.StringIO()
    rows = [[path, f"sha256={_hash(data)}", len(data)] for path, data in members.items() if path not in unlisted]
    csv.writer(stream, lineterminator="\n").writerows([*rows, [f"{info}/RECORD", "", ""]])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in [*members.items(), (f"{info}/RECORD", stream.getvalue().encode())]:
            archive.writestr(zipfile.ZipInfo(member, (2020, 1, 1, 0, 0, 0)), data)
    return path


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@dataclass(frozen=True)
class Gallery:
    """The built images by variant, and the CPU image's files laid out."""

    workshop: Workshop
    images: Mapping[str, BuiltImage]
    files: Path

    @property
    def cpu(self) -> BuiltImage:
        return self.images["cpu"]


@pytest.fixture(scope="session")
def gallery(warm_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    folder = tmp_path_factory.mktemp("images")
    workshop = make_workshop(folder / "project", warm_store)
    try:
        built, _ = workshop.build("cpu", "cu129", "cu129-slim")
    except FetchError as error:
        pytest.skip(f"an image's packages are not in the store and cannot be fetched: {error.message}")
    except SandboxError as error:
        pytest.skip(error.message)
    images = {image.edition.name: image for image in built}
    return Gallery(workshop, images, lay_out(images["cpu"].folder, folder / "files"))


# -- looking at results without any of our own code


def manifest_of(layout: Path) -> dict[str, Any]:
    """The manifest of a layout's first image."""
    index = json.loads((layout / "index.json").read_bytes())
    document: dict[str, Any] = json.loads(blob(layout, index["manifests"][0]["digest"]).read_bytes())
    return document


def config_of(layout: Path) -> dict[str, Any]:
    """The config of a layout's first image."""
    document: dict[str, Any] = json.loads(blob(layout, manifest_of(layout)["config"]["digest"]).read_bytes())
    return document


def layer_names(layout: Path) -> list[str]:
    """What the config's history calls the layers."""
    return [entry["created_by"].removeprefix("millcert: ") for entry in config_of(layout)["history"]]


def blob(layout: Path, digest: str) -> Path:
    """A blob's file."""
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


Files = dict[str, tuple[object, ...]]


def files_of(layout: Path) -> Files:
    """Every path of a layout's first image with its kind, owner, mode and content."""
    return files_of_archives(blob(layout, layer["digest"]).open("rb") for layer in manifest_of(layout)["layers"])


def files_of_archives(layers: Iterable[IO[bytes]]) -> Files:
    """Every path of some layers on top of each other."""
    found: Files = {}
    for layer in layers:
        with layer, tarfile.open(fileobj=layer) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                digest = hashlib.file_digest(content, "sha256").hexdigest() if content else member.linkname
                mode = 0 if member.issym() else stat.S_IMODE(member.mode)
                name = member.name.removeprefix("./").rstrip("/")
                found[name] = (member.type, member.uid, member.gid, mode, digest)
    found.pop("", None)
    return found


def lay_out(layout: Path, target: Path) -> Path:
    """The layers of a layout's first image on top of each other."""
    target.mkdir(parents=True)
    for layer in manifest_of(layout)["layers"]:
        with tarfile.open(blob(layout, layer["digest"])) as archive:
            # our own layers; Debian 12's Python knows no filters yet
            archive.extractall(target, **({"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}))
    return target


def run_inside(
    root: Path, config: Mapping[str, Any], *arguments: str, work: Path, emulator: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run an image's entry point in bubblewrap: read-only root, no network, the image's own user and environment.

    ``emulator`` is a static program of this machine that runs another architecture's.
    """
    settings = config["config"]
    user, group = settings["User"].split(":")
    command = [
        "bwrap",
        "--unshare-all",
        "--unshare-user",
        "--uid",
        user,
        "--gid",
        group,
        "--die-with-parent",
        "--clearenv",
    ]
    for entry in sorted(root.iterdir()):
        if entry.is_symlink():
            command += ["--symlink", str(entry.readlink()), f"/{entry.name}"]
        elif entry.name not in ("proc", "dev", "work"):
            command += ["--ro-bind", str(entry), f"/{entry.name}"]
    command += ["--proc", "/proc", "--dev", "/dev", "--bind", str(work), "/work", "--remount-ro", "/"]
    if emulator:
        command[-2:-2] = ["--ro-bind", emulator, "/emulator"]
    for line in settings["Env"]:
        command += ["--setenv", *line.split("=", 1)]
    started = ["/emulator", *settings["Entrypoint"]] if emulator else settings["Entrypoint"]
    command += ["--chdir", settings["WorkingDir"], "--", *started, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

"""The real image: wootz's own wheel in this repository's layers, and the tutorial to train in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.hermetic import ROOT, Quiet

from millcert.errors import FetchError, SandboxError
from millcert.hermetic.revision import Revision
from millcert.image.project import BuiltImage, ImageProject
from millcert.store import Store
from millcert.wheel.project import Project

__all__ = ["WootzImage", "build_images", "wheel_of_wootz", "wootz_image", "write_tutorial"]

# the tutorial's data set comes with scikit-learn, which the image does not have: the images themselves are handed in
DATASET = """
import numpy
from types import SimpleNamespace

def load_digits():
    with numpy.load("/work/digits.npz") as file:
        return SimpleNamespace(data=file["data"], target=file["target"])
"""


@dataclass(frozen=True)
class WootzImage:
    """A built image, and below ``folder`` its layout and its layers as the Dockerfile wants them."""

    image: BuiltImage
    folder: Path


def wheel_of_wootz(architecture: str = "x86_64") -> Path:
    """The newest hermetic CPU wheel, of ``dist/`` or of the tests' environment; skips where there is none."""
    folders = (ROOT / "dist", ROOT / ".nox/tests/dist")
    found = [path for folder in folders for path in folder.glob(f"wootz-*+cpu*-manylinux*{architecture}.whl")]
    if not found:
        pytest.skip("no wheel of wootz for the CPU in dist/ (run `nox -s build_wheels -- cpu`)")
    return max(found, key=lambda path: path.stat().st_mtime)


def build_images(store: Store, wheels: Mapping[str, Path], folder: Path) -> list[BuiltImage]:
    """The images of some editions from Debian's frozen archive; skips where their packages cannot be had."""
    images = ImageProject(Project(ROOT), frozen=True)
    try:
        images.fetch(store, [edition for edition in images.editions() if edition.name in wheels], lambda *_: None)
        return images.build(
            store, wheels, Revision("0" * 40, 1795392000, False, (), ""), Quiet(), jobs=2,
            compressions=["gzip"], dist=folder,
        )  # fmt: skip
    except FetchError as error:
        pytest.skip(f"the image's packages are not in the store and cannot be fetched: {error.message}")
    except SandboxError as error:
        pytest.skip(error.message)


@pytest.fixture(scope="session")
def wootz_image(warm_store: Store, tmp_path_factory: pytest.TempPathFactory) -> WootzImage:
    folder = tmp_path_factory.mktemp("wootz")
    (image,) = build_images(warm_store, {"cpu": wheel_of_wootz()}, folder)
    return WootzImage(image, folder / "images")


def write_tutorial(work: Path) -> str:
    """Lay the tutorial and its data in a folder that anybody may write to; the script's name."""
    datasets = pytest.importorskip("sklearn.datasets", reason="the tutorial's data comes with scikit-learn")
    numpy = pytest.importorskip("numpy")
    (work / "sklearn").mkdir(parents=True)
    work.chmod(0o777)
    (work / "sklearn/__init__.py").touch()
    (work / "sklearn/datasets.py").write_text(DATASET)
    digits = datasets.load_digits()
    numpy.savez(work / "digits.npz", data=digits.data, target=digits.target)
    (work / "digits.py").write_text((ROOT / "docs/tutorial/digits.py").read_text())
    return "digits.py"

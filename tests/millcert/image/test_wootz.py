"""The real image: wootz's own wheel trains the tutorial's model in it, with a read-only root and no network."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.hermetic import ROOT, Quiet
from tests.support.images import config_of, lay_out, run_inside

from millcert.errors import FetchError
from millcert.hermetic.revision import Revision
from millcert.image.project import ImageProject
from millcert.store import Store
from millcert.wheel.project import Project

# the tutorial's data set comes with scikit-learn, which the image does not have: the images themselves are handed in
DATASET = """
import numpy
from types import SimpleNamespace

def load_digits():
    with numpy.load("/work/digits.npz") as file:
        return SimpleNamespace(data=file["data"], target=file["target"])
"""


@pytest.mark.slow
def test_the_tutorial_trains_in_the_image(warm_store: Store, tmp_path: Path):
    wheels = sorted((ROOT / "dist").glob("wootz-*+cpu*-manylinux*x86_64.whl"))
    if not wheels:
        pytest.skip("no wheel of wootz for the CPU in dist/ (run `nox -s build_wheels -- cpu`)")
    datasets = pytest.importorskip("sklearn.datasets", reason="the tutorial's data comes with scikit-learn")
    numpy = pytest.importorskip("numpy")
    images = ImageProject(Project(ROOT), frozen=True)
    try:
        images.fetch(warm_store, images.editions(["cpu"]), lambda *_: None)
    except FetchError as error:
        pytest.skip(f"the image's packages are not in the store and cannot be fetched: {error.message}")
    (image,) = images.build(
        warm_store, {"cpu": wheels[-1]}, Revision("0" * 40, 1795392000, False, (), ""), Quiet(), jobs=2,
        compressions=["gzip"], dist=tmp_path / "dist",
    )  # fmt: skip
    files, config = lay_out(image.folder, tmp_path / "files"), config_of(image.folder)
    work = tmp_path / "work"
    (work / "sklearn").mkdir(parents=True)
    work.chmod(0o777)
    (work / "sklearn/__init__.py").touch()
    (work / "sklearn/datasets.py").write_text(DATASET)
    digits = datasets.load_digits()
    numpy.savez(work / "digits.npz", data=digits.data, target=digits.target)
    (work / "digits.py").write_text((ROOT / "docs/tutorial/digits.py").read_text())
    healthy = run_inside(files, config, *config["config"]["Healthcheck"]["Test"][2:], work=work)
    assert healthy.returncode == 0, healthy.stderr
    trained = run_inside(files, config, "digits.py", work=work)
    assert trained.returncode == 0, trained.stderr
    assert (work / "digits.safetensors").is_file()

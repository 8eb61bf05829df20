"""The real image: wootz's own wheel trains the tutorial's model in it, with a read-only root and no network."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.images import config_of, lay_out, run_inside
from tests.support.wootz_image import WootzImage, write_tutorial


@pytest.mark.slow
def test_the_tutorial_trains_in_the_image(wootz_image: WootzImage, tmp_path: Path):
    layout = wootz_image.image.folder
    files, config = lay_out(layout, tmp_path / "files"), config_of(layout)
    work = tmp_path / "work"
    script = write_tutorial(work)
    healthy = run_inside(files, config, *config["config"]["Healthcheck"]["Test"][2:], work=work)
    assert healthy.returncode == 0, healthy.stderr
    trained = run_inside(files, config, script, work=work)
    assert trained.returncode == 0, trained.stderr
    assert (work / "digits.safetensors").is_file()

"""Which variant a machine gets, told by driver libraries that say what real ones would."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from millcert.errors import UsageError
from millcert.install.gpu import OLDEST_GPU, Driver, choose_variant, read_driver
from millcert.targets import load_targets

ALL = ["cpu", "cu126", "cu129", "cu130", "cu135"]


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        (Driver((12, 8), (90,)), "cu126"),
        (Driver((12, 9), (90, 120)), "cu129"),
        (Driver((13, 0), (80,)), "cu130"),
        (Driver((14, 1), (120,)), "cu135"),
        (Driver((13, 0), (70, 90)), "cu129"),
        (Driver((13, 0), (60,)), "cu126"),
        (Driver((12, 4), (90,)), "cpu"),
        (Driver((12, 9), (35,)), "cpu"),
        (Driver((12, 9), ()), "cpu"),
        (Driver(None, reason="no driver"), "cpu"),
    ],
)
def test_the_newest_that_driver_and_oldest_gpu_run(driver: Driver, expected: str) -> None:
    chosen = choose_variant(driver, ALL)
    assert chosen.name == expected
    assert chosen.reason


def test_no_variant_that_runs() -> None:
    with pytest.raises(UsageError, match="no variant"):
        choose_variant(Driver(None, reason="no driver"), ["cu129"])


def test_the_oldest_gpus_are_those_of_the_targets() -> None:
    targets = load_targets(Path(__file__).parents[3] / "ci" / "targets.toml")
    built = {name: variant.cuda.gpu[0] for name, variant in targets.variants.items() if variant.cuda}
    assert built == OLDEST_GPU


def library(version: int, gpus: list[int], *, starts: int = 0) -> Any:
    """A libcuda with these answers (CUDA driver API, cuda.h)."""

    def put(pointer: Any, value: int) -> int:
        pointer._obj.value = value
        return 0

    return SimpleNamespace(
        cuInit=lambda flags: starts,
        cuDriverGetVersion=lambda pointer: put(pointer, version),
        cuDeviceGetCount=lambda pointer: put(pointer, len(gpus)),
        cuDeviceGet=lambda pointer, number: put(pointer, number),
        cuDeviceGetAttribute=lambda pointer, which, device: put(
            pointer, gpus[device.value] // 10 if which == 75 else gpus[device.value] % 10
        ),
    )


def test_the_driver_is_asked_through_its_library() -> None:
    assert read_driver(lambda name: library(12090, [90, 120])) == Driver((12, 9), (90, 120))
    assert read_driver(lambda name: library(12090, [90], starts=100)).cuda is None


def test_no_library_is_no_driver() -> None:
    def absent(name: str) -> Any:
        raise OSError(name)

    assert "libcuda" in read_driver(absent).reason

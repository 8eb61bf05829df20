"""The wheel that is selected is the wheel that pip itself would take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.nightly import make_wheel

from millcert.errors import LockError
from millcert.lock import Lock, LockedFile, Pin, Target, best_file, select
from millcert.model import Digest
from millcert.names import normalize

TAGS = [
    "py3-none-any",
    "py2.py3-none-any",
    "py311-none-any",
    "cp39-abi3-manylinux2014_x86_64",
    "cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "cp311-cp311-manylinux1_x86_64",
    "cp311-cp311-manylinux_2_28_x86_64",
    "cp311-cp311-manylinux_2_34_x86_64",
    "cp311-cp311-musllinux_1_2_x86_64",
    "cp311-cp311-manylinux_2_28_aarch64",
    "cp312-cp312-manylinux_2_28_x86_64",
    "cp312-abi3-manylinux_2_28_x86_64",
    "cp313-cp313t-manylinux_2_28_x86_64",
    "cp311-none-win_amd64",
]
LISTED = [LockedFile(f"thing-1.0-{tag}.whl", Digest(f"{number:064x}"), 1) for number, tag in enumerate(TAGS)]


def pip_takes(target: Target, wheels: Path) -> str:
    platforms = [f"--platform={platform}" for platform in target.platforms()]
    version = f"{target.python[0]}.{target.python[1]}"
    report = subprocess.run(
        [sys.executable, "-m", "pip", "--isolated", "install", "--dry-run", "--quiet", "--report=-", "--no-index",
         "--ignore-installed", f"--find-links={wheels}", "--only-binary=:all:", f"--python-version={version}",
         "--target=x", "--implementation=cp",
         f"--abi=cp{version.replace('.', '')}", "--abi=abi3", "--abi=none", *platforms, "thing"],
        env={"PATH": "/usr/bin:/bin", "PIP_CONFIG_FILE": "/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return str(json.loads(report)["install"][0]["download_info"]["url"].rpartition("/")[2])


@pytest.mark.parametrize(
    "target",
    [Target(), Target("aarch64"), Target("x86_64", (3, 12), 28), Target("x86_64", (3, 13), 17), Target(glibc=5)],
    ids=str,
)
def test_the_choice_is_pips(target: Target, tmp_path: Path) -> None:
    for tag in TAGS:
        make_wheel(tmp_path, "thing", "1.0", tag=tag)
    best = best_file(LISTED, target)
    assert best is not None
    assert best.filename == pip_takes(target, tmp_path)


def test_no_fitting_wheel_is_an_error_that_names_them() -> None:
    pin = Pin(normalize("thing"), "1.0", "pypi", (LISTED[-1],))
    with pytest.raises(LockError, match="win_amd64"):
        select(Lock(Path("x.txt"), (pin,)))


def test_one_wheel_a_pin_in_the_order_of_the_lock() -> None:
    pins = tuple(
        Pin(normalize(name), "1.0", "pypi", (LockedFile(f"{name}-1.0-py3-none-any.whl", Digest("0" * 64), 1),))
        for name in ("a", "b")
    )
    assert [(pin.name, file.filename[0]) for pin, file in select(Lock(Path("x"), pins))] == [("a", "a"), ("b", "b")]

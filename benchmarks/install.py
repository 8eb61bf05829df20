"""What proving an installation costs: checking wheels, and a cold install against plain pip with the same files.

Run ``python benchmarks/install.py`` from the root. The index is signed by the loopback test instances and served on
loopback; no network is used. Contestants take turns; the fastest and the median of the rounds are shown.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "build" / "src")]

from tests.support.installing import INDEX, Client, Stall  # noqa: E402
from tests.support.nightly import make_wheel, pip, serve  # noqa: E402

from millcert.install.anchor import Anchor  # noqa: E402 - the path comes first
from millcert.install.wheelfile import check_wheel  # noqa: E402
from millcert.model import digest_of_file  # noqa: E402

Times = dict[str, list[float]]


def take_turns(contestants: Mapping[str, Callable[[], object]], rounds: int) -> Times:
    """Seconds of each contestant in each round, in turns, after one round that does not count."""
    times: Times = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def checking(folder: Path, megabytes: int, rounds: int) -> Times:
    """A wheel of stored random bytes: sha256 of the file alone, and everything that is checked about an archive."""
    wheel = make_wheel(folder, "large", "1.0", content=os.urandom(megabytes << 20))
    many = [make_wheel(folder, f"small{number}", "1.0", content=os.urandom(100_000)) for number in range(100)]
    return take_turns(
        {
            f"sha256 of {megabytes} MB": lambda: digest_of_file(wheel),
            f"sha256 and zlib.crc32 of {megabytes} MB": lambda: _hash_and_sum(wheel),
            f"check a wheel of {megabytes} MB": lambda: check_wheel(wheel),
            "check 100 wheels of 100 kB": lambda: [check_wheel(path) for path in many],
        },
        rounds,
    )


def _hash_and_sum(path: Path) -> None:
    import zlib

    hasher, total = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            hasher.update(piece)
            total = zlib.crc32(piece, total)


def installing(folder: Path, rounds: int) -> Times:
    """A cold client against pip, on the same two wheels from the same server, into an empty folder each time."""
    stall = Stall.open(folder / "index")
    target = folder / "target"
    with serve(stall.nightly.site.root) as (address, _):

        def plain() -> None:
            shutil.rmtree(target, ignore_errors=True)
            index = f"{address}/{INDEX}/"
            result = pip("install", "--pre", "--no-cache-dir", "--index-url", index, "--target", str(target), "wootz")
            assert result.returncode == 0, result.stderr

        def cold() -> None:
            shutil.rmtree(target, ignore_errors=True)
            shutil.rmtree(folder / "client", ignore_errors=True)
            Client(folder / "client", Anchor(stall.nightly.root)).install(address, target)

        def proven() -> None:
            shutil.rmtree(folder / "client", ignore_errors=True)
            Client(folder / "client", Anchor(stall.nightly.root)).verified(address)

        def starting() -> None:
            subprocess.run([sys.executable, "-I", "-m", "pip", "--version"], check=True, capture_output=True)

        return take_turns(
            {
                "pip install": plain, "millcert install, first time": cold,
                "of which proving": proven, "pip --version": starting,
            },
            rounds,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=256)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        times = checking(Path(name) / "wheels", options.megabytes, options.rounds)
        times |= installing(Path(name), options.rounds)
    for what, found in times.items():
        print(f"{what:40} fastest {min(found):8.3f} s   median {statistics.median(found):8.3f} s")


if __name__ == "__main__":
    main()

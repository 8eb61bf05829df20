"""What proving an installation costs: checking wheels, and a cold install against plain pip with the same files.

Run ``python benchmarks/install.py`` from the root. The index is signed by the loopback test instances and served on
loopback; no network is used. Contestants take turns; the fastest and the median of the rounds are shown, and the ratio
of the fastest to the first contestant's. Memory is the peak of a process of its own.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "build" / "src")]

from tests.support.installing import INDEX, Client, Stall  # noqa: E402
from tests.support.nightly import make_wheel, pip, serve  # noqa: E402
from tests.support.turns import Times, take_turns  # noqa: E402

from millcert.install.anchor import Anchor  # noqa: E402 - the path comes first
from millcert.install.wheelfile import check_wheel  # noqa: E402
from millcert.model import digest_of_file  # noqa: E402


def large_wheel(folder: Path, megabytes: int) -> Path:
    """A wheel that holds one stored file of random bytes, written as a stream."""
    stem, name = "large-1.0", "large/weights.bin"
    path, hasher = folder / f"{stem}-py3-none-any.whl", hashlib.sha256()
    small = {
        f"{stem}.dist-info/METADATA": b"Metadata-Version: 2.4\nName: large\nVersion: 1.0\n",
        f"{stem}.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{entry},sha256={_b64(hashlib.sha256(data))},{len(data)}\n" for entry, data in small.items())
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.file_size = megabytes << 20
        with archive.open(info, "w") as entry:
            for _ in range(megabytes):
                data = os.urandom(1 << 20)
                hasher.update(data)
                entry.write(data)
        record += f"{name},sha256={_b64(hasher)},{megabytes << 20}\n{stem}.dist-info/RECORD,,\n"
        for member, data in {**small, f"{stem}.dist-info/RECORD": record.encode()}.items():
            archive.writestr(member, data)
    return path


def _b64(hasher: Any) -> str:
    return base64.urlsafe_b64encode(hasher.digest()).rstrip(b"=").decode()


def checking(wheel: Path, megabytes: int, rounds: int) -> Times:
    """A wheel of stored random bytes: sha256 of the file alone, and everything that is checked about an archive."""
    return take_turns(
        {
            f"sha256 of {megabytes} MB": lambda: digest_of_file(wheel),
            f"sha256 and zlib.crc32 of {megabytes} MB": lambda: _hash_and_sum(wheel),
            f"check a wheel of {megabytes} MB": lambda: check_wheel(wheel),
        },
        rounds,
    )


def memory(wheel: Path) -> None:
    """Peak memory of a process that does nothing, hashes the wheel, or checks it: it must not grow with the file."""
    small = large_wheel(wheel.parent / "small", 1)
    work = {
        "imports alone": "pass", "sha256": "digest_of_file(Path(sys.argv[1]))",
        "check_wheel": "check_wheel(Path(sys.argv[1]))",
    }  # fmt: skip
    for name, call in work.items():
        code = (
            "import resource, sys; from pathlib import Path; from millcert.install.wheelfile import check_wheel; "
            f"from millcert.model import digest_of_file; {call}; "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        found = [
            int(subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True,
                               env={**os.environ, "PYTHONPATH": str(ROOT / "build" / "src")}).stdout)
            for path in (small, wheel)
        ]  # fmt: skip
        print(f"{'peak memory, ' + name:40} 1 MB file {found[0] / 1024:7.1f} MB   large file {found[1] / 1024:7.1f} MB")


def many(folder: Path, rounds: int) -> Times:
    """Small wheels, a hundred at a time."""
    wheels = [make_wheel(folder, f"small{number}", "1.0", content=os.urandom(100_000)) for number in range(100)]
    return take_turns(
        {
            "sha256 of 100 wheels of 100 kB": lambda: [digest_of_file(path) for path in wheels],
            "check 100 wheels of 100 kB": lambda: [check_wheel(path) for path in wheels],
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
    parser.add_argument("--megabytes", type=int, default=1024)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        wheel = large_wheel(Path(name) / "wheels", options.megabytes)
        report(checking(wheel, options.megabytes, options.rounds))
        memory(wheel)
        report(many(Path(name) / "wheels", options.rounds))
        report(installing(Path(name), options.rounds))


def report(times: Times) -> None:
    """Print each contestant, and its ratio to the first."""
    peer = min(next(iter(times.values())))
    for what, found in times.items():
        print(f"{what:40} fastest {min(found):8.3f} s   median {statistics.median(found):8.3f} s"
              f"   ratio {min(found) / peer:6.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()

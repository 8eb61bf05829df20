"""What one more wheel costs on indexes of 100, 10,000 and 100,000 files, and what a client downloads to see it.

    python benchmarks/publish.py                 # the table
    python benchmarks/publish.py --bins          # the same by number of bins, for docs/decisions

Pages are real and signed; the wheels that they list besides the ones that are added do not exist, for nothing
that is measured reads them. Publishing waits for the disk (fsync) as it does in earnest.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.nightly import NOW, OWNED, Nightly, build_wheel, client, lock_of, make_wheel, serve

from millcert.keys import DEFAULT_LIFETIMES
from millcert.model import digest_of
from millcert.names import NormalizedName
from millcert.publish.page import Page, PageFile, page_path, project_list
from millcert.publish.plan import Plan, draft_pages
from millcert.publish.switch import commit
from millcert.publish.thirdparty import ThirdParty

ADDED = 7
SHAPES = {100: (10, 10), 10_000: (100, 100), 100_000: (1_000, 100)}  # files: (projects, files of each)
RETAIN = 60


def fill(nightly: Nightly, projects: int, each: int, third: ThirdParty) -> None:
    """Put pages of that many projects and files on the index, in one change."""
    plan = Plan(nightly.state())
    names = [NormalizedName(f"project-{number}") for number in range(projects)]
    for name in names:
        plan.put_page(page_path("nightly/cpu", name), Page(name, tuple(entry(name, n) for n in range(each))).to_bytes())
    plan.put_page(page_path("nightly/cpu"), project_list([*names, *third.versions, *OWNED], third.digest))
    draft = draft_pages(plan, NOW, DEFAULT_LIFETIMES)
    draft.sign(nightly.all_keys)
    plan.write(nightly.site)
    commit(nightly.site, plan.state, draft, nightly.all_keys, NOW, DEFAULT_LIFETIMES)


def entry(name: str, number: int) -> PageFile:
    filename = f"{name.replace('-', '_')}-1.{number}-py3-none-any.whl"
    digest = digest_of(filename.encode())
    return PageFile(filename, f"../../../files/{name}/{filename}", digest, 10**6, NOW, ">=3.11", digest)


def measure(files: int, bits: int, folder: Path) -> dict[str, float]:
    """Publish a few wheels one after the other on an index of that size; medians."""
    projects, each = SHAPES[files]
    nightly = Nightly.start(folder, bits=bits)
    lock = lock_of(nightly.store, *(make_wheel(folder / "third", f"part{number}", "1.0") for number in range(8)))
    nightly.publish(build_wheel(folder / "dist", "0.1.0.dev1+cpu"), lock=lock, retain=RETAIN)
    fill(nightly, projects, each, ThirdParty("nightly/cpu", lock, OWNED, "", NOW))
    seconds, refresh, received, metadata = [], [], [], []
    with serve(nightly.site.root) as (address, sent):
        start = time.perf_counter()
        client(address, folder / "cache", nightly.root)
        cold = (time.perf_counter() - start, sum(size for _, size in sent))
        for night in range(2, 2 + ADDED):
            wheel = build_wheel(folder / "dist", f"0.1.0.dev{night}+cpu")
            start = time.perf_counter()
            nightly.publish(wheel, lock=lock, retain=RETAIN, now=NOW + timedelta(seconds=night))
            seconds.append(time.perf_counter() - start)
            del sent[:]
            start = time.perf_counter()
            assert len(client(address, folder / "cache", nightly.root)["versions"]) == night
            refresh.append(time.perf_counter() - start)
            received.append(sum(size for _, size in sent))
            metadata.append(sum(size for path, size in sent if path.startswith("/tuf/")))
    return {
        "publish": statistics.median(seconds), "warm": statistics.median(refresh), "cold": cold[0],
        "bytes": statistics.median(received), "metadata": statistics.median(metadata), "cold bytes": cold[1],
    }  # fmt: skip


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bins", action="store_true", help="compare numbers of bins instead of one")
    parser.add_argument("--files", type=int, nargs="*", default=list(SHAPES), choices=list(SHAPES))
    options = parser.parse_args()
    print(f"{'files':>8} {'bins':>5} {'publish one wheel':>18} {'ratio':>6}"
          f" {'client refresh':>15} {'bytes':>8} {'of it TUF':>9} {'cold':>8} {'bytes':>8}")  # fmt: skip
    for bits in (1, 3, 5, 8) if options.bins else (3,):
        base = None
        for files in options.files:
            with tempfile.TemporaryDirectory() as folder:
                found = measure(files, bits, Path(folder))
            base = base or found["publish"]
            print(
                f"{files:8} {2**bits:5} {found['publish'] * 1e3:15.0f} ms {found['publish'] / base:6.2f}"
                f" {found['warm'] * 1e3:12.0f} ms {found['bytes']:8.0f} {found['metadata']:9.0f}"
                f" {found['cold'] * 1e3:5.0f} ms {found['cold bytes']:8.0f}", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()

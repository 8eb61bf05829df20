"""What the images weigh and cost, against the usual recipe built in the same run: minbase, then pip install.

Run ``python benchmarks/images.py --wheel dist/wootz-*+cpu-*x86_64.whl`` from the root, as root, on Debian (the usual
recipe needs debootstrap; without it only our own numbers are shown). Packages come from the store, which is filled
first; nothing else uses a network but debootstrap and registries on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "build" / "src")]

from tests.support.images import config_of, lay_out, run_inside  # noqa: E402
from tests.support.registry import debian_registry  # noqa: E402

from millcert import debian, lock  # noqa: E402 - the path comes first
from millcert.debian.apt import find_archive  # noqa: E402
from millcert.errors import MillcertError  # noqa: E402
from millcert.store import Store, default_root  # noqa: E402


@dataclass
class Bench:
    """Where things are, and what was measured: a name to a value with its unit."""

    folder: Path
    wheel: Path
    found: dict[str, str]

    def millcert(self, *arguments: str, store: Path | None = None) -> dict[str, Any]:
        """Run ``millcert image`` and return what it printed."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "build" / "src")}
        if store:
            environment["MILLCERT_STORE"] = str(store)
        command = [sys.executable, "-m", "millcert", "image", *arguments, "--json"]
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if result.returncode:
            sys.exit(result.stderr)
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    def build(self, dist: str, store: Path | None = None, *more: str) -> dict[str, Any]:
        """Assemble the CPU image."""
        return self.millcert(
            "build", "cpu", "--wheel", str(self.wheel), "--dist", str(self.folder / dist), *more, store=store
        )


def timed(run: Callable[[], object]) -> str:
    """How long one run takes, and what it took of processors, which a busy machine distorts less."""
    start, before = time.perf_counter(), os.times()
    run()
    after = os.times()
    spent = sum(
        getattr(after, key) - getattr(before, key) for key in ("user", "system", "children_user", "children_system")
    )
    return f"{time.perf_counter() - start:.1f} s ({spent:.1f} s)"


def measure_builds(bench: Bench) -> Path:
    """Sizes, and the time of a first and of a second build; the layout of the gzip image."""
    document = bench.build("first")
    for image in document["images"]:
        for layer in image["layers"]:
            bench.found[f"{image['compression']} {layer['name']}"] = megabytes(layer["bytes"])
        bench.found[f"{image['compression']} image"] = megabytes(image["bytes"])
    gzip = ["--compression", "gzip"]
    cold, warm = Store(bench.folder / "store"), Store(default_root(os.environ))
    for digest in [*pinned(bench.folder / "first" / "images"), *tools()]:
        cold.add_file(warm.path(digest))
    bench.found["first build, gzip"] = timed(lambda: bench.build("cold", cold.root, *gzip))
    bench.found["build without changes"] = timed(lambda: bench.build("again", cold.root, *gzip))
    return bench.folder / "cold" / "images" / "cpu"


def pinned(folder: Path) -> list[Any]:
    """The digests of everything in an image, from its SBOM."""
    document = json.loads((folder / "cpu.manifest.json.cdx.json").read_bytes())
    return [component["hashes"][0]["content"] for component in document["components"]]


def tools() -> list[Any]:
    """The digests of the build root's packages and of the compressor."""
    locks = ROOT / "lockfiles"
    found: list[Any] = [package.digest for package in debian.read_lock(locks / "debian/base.lock").packages]
    return found + [file.digest for _, file in lock.select(lock.read_lock(locks / "toolchain/images.txt"))]


def measure_usual_recipe(bench: Bench) -> None:
    """A minbase Debian with python3 and pip, and the same wheels installed: what a `docker push` would send."""
    if shutil.which("debootstrap") is None:
        bench.found["minbase + pip install"] = "not measured: debootstrap is not installed"
        return
    target, wheels = bench.folder / "usual", bench.folder / "wheels"
    wheels.mkdir()
    store = Store(default_root(os.environ))
    for _, file in lock.select(lock.read_lock(ROOT / "lockfiles/runtime/cpu.txt")):
        shutil.copy(store.path(file.digest), wheels / file.filename)
    shutil.copy(bench.wheel, wheels)
    mirror = find_archive("bookworm", os.environ).address
    packages = "python3,python3-pip"
    command = ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(target), mirror]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    shutil.copytree(wheels, target / "wheels")
    install = ["pip", "install", "--no-index", "--find-links", "/wheels", "--break-system-packages", "--no-cache-dir"]
    command = ["chroot", str(target), *install, f"/wheels/{bench.wheel.name}"]
    subprocess.run(command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, stdout=subprocess.DEVNULL, check=True)
    shutil.rmtree(target / "wheels")
    shutil.rmtree(target / "var/cache/apt", ignore_errors=True)
    archive = bench.folder / "usual.tar.gz"
    with archive.open("wb") as stream:
        tar = subprocess.Popen(["tar", "-C", str(target), "-c", "."], stdout=subprocess.PIPE)
        subprocess.run(["gzip", "-9"], stdin=tar.stdout, stdout=stream, check=True)
        tar.wait()
    bench.found["minbase + pip install, gzip"] = megabytes(archive.stat().st_size)
    ours = sum(float(v.split()[0]) for k, v in bench.found.items() if k == "gzip image")
    bench.found["ratio"] = f"{archive.stat().st_size / 1e6 / ours:.1f} times ours"


def measure_start(bench: Bench, layout: Path) -> None:
    """From a registry on this machine to the end of the health check, which computes a gradient."""
    try:
        with debian_registry(bench.folder) as host:
            bench.millcert("push", "--unsigned", str(layout), f"{host}/team/image")
            tag = json.loads((layout / "index.json").read_bytes())["manifests"][0]["annotations"]
            reference = f"{host}/team/image:{tag['org.opencontainers.image.ref.name']}"
            bench.found["pull, unpack, first gradient"] = timed(lambda: start(bench, reference))
    except FileNotFoundError as error:
        bench.found["pull, unpack, first gradient"] = f"not measured: {error}"


def start(bench: Bench, reference: str) -> None:
    """Pull, lay out, and run the health check in bubblewrap."""
    layout = Path(bench.millcert("pull", reference, str(bench.folder / "pulled"))["layout"])
    files = lay_out(layout, bench.folder / "files")
    config: Mapping[str, Any] = config_of(layout)
    work = bench.folder / "work"
    work.mkdir()
    result = run_inside(files, config, *config["config"]["Healthcheck"]["Test"][2:], work=work)
    if result.returncode:
        sys.exit(result.stderr)


def megabytes(size: int) -> str:
    """Bytes as millions."""
    return f"{size / 1e6:.2f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    newest = max(Path("dist").glob("*+cpu-*x86_64.whl"), key=lambda path: path.stat().st_mtime, default=None)
    parser.add_argument(
        "--wheel", type=Path, default=newest, help="the project's wheel for the CPU (default: dist's newest)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if arguments.wheel is None:
        sys.exit("there is no CPU wheel in dist/: run `ci/nox -s build_wheels -- cpu`, or pass --wheel")
    with tempfile.TemporaryDirectory(prefix="bench-images-") as folder:
        bench = Bench(Path(folder), arguments.wheel.resolve(), {})
        try:
            layout = measure_builds(bench)
            measure_start(bench, layout)
            measure_usual_recipe(bench)
        except MillcertError as error:
            sys.exit(str(error))
    if arguments.json:
        print(json.dumps(bench.found, indent=2))
        return
    print("times are the wall's, and in brackets those of processors")
    for name, value in bench.found.items():
        print(f"{name:32} {value:>18}")


if __name__ == "__main__":
    main()

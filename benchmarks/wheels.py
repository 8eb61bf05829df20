"""What the wheels weigh: each variant's file, its parts, and its kernels by unit and by GPU architecture.

Usage: python benchmarks/wheels.py [--peer WHEEL] [FOLDER], a folder of ours (default: dist/). With a peer's wheel
(PyTorch's for the CPU, say) each size is given as a part of it too.
"""

from __future__ import annotations

import argparse
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

FAT_BINARY, PTX = 0xBA55ED50, 1


def kernels(data: bytes) -> Iterator[tuple[str, int]]:
    """(architecture, bytes) of each image in a fat binary; ValueError for anything else."""
    magic, _, header, size = struct.unpack_from("<IHHQ", data)
    if magic != FAT_BINARY or header + size > len(data):
        raise ValueError("not a fat binary")
    position = header
    while position < header + size:
        kind, _, head, length = struct.unpack_from("<HHIQ", data, position)
        (architecture,) = struct.unpack_from("<I", data, position + 28)
        yield f"{'ptx ' if kind == PTX else 'sm_'}{architecture}", length
        position += head + length


def parts(archive: zipfile.ZipFile) -> dict[str, int]:
    """Compressed bytes of the module, the kernels, and the rest."""
    found = {"module": 0, "kernels": 0, "rest": 0}
    for info in archive.infolist():
        ending = info.filename.rpartition(".")[2]
        found[{"so": "module", "fatbin": "kernels"}.get(ending, "rest")] += info.compress_size
    return found


def kernel_sizes(archive: zipfile.ZipFile) -> tuple[Counter[str], Counter[str]]:
    """Bytes of the fat binaries by unit, and of their images by architecture."""
    units: Counter[str] = Counter()
    architectures: Counter[str] = Counter()
    for name in archive.namelist():
        if name.endswith(".fatbin"):
            data = archive.read(name)
            units[Path(name).stem] = len(data)
            for what, size in kernels(data):
                architectures[what] += size
    return units, architectures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parents[1] / "dist")
    parser.add_argument("--peer", type=Path, help="a wheel to compare with")
    options = parser.parse_args()
    wheels = sorted(options.folder.glob("*.whl"))
    if not wheels:
        print(f"skipped: no wheel in {options.folder}: build some with `nox -s build_wheels`")
    for path in wheels:
        with zipfile.ZipFile(path) as archive:
            weights = ", ".join(f"{name} {size / 1e6:.2f}" for name, size in parts(archive).items() if size)
            size = path.stat().st_size
            peer = f", {size / options.peer.stat().st_size:.4f} of {options.peer.name}" if options.peer else ""
            print(f"{path.name}\n  {size / 1e6:.2f} MB: {weights}{peer}")
            units, architectures = kernel_sizes(archive)
            for title, sizes in (("unit", units), ("architecture", architectures)):
                if sizes:
                    listed = ", ".join(f"{what} {size / 1e3:.0f}" for what, size in sizes.items())
                    print(f"  kernels by {title}, kB before the archive's compression: {listed}")


if __name__ == "__main__":
    main()

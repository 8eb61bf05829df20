"""Compiles the CUDA kernels for every GPU of every variant: ``python -m tests.support.kernels [VARIANT ...]``.

The build fails where a kernel takes more of a thread than csrc/cuda/limits.toml allows. Then the kernels of every cubin
and of the PTX are held against those that the host emulation has of the same sources. It runs in the suite what the
dispatcher launches: a kernel that a cubin lacks would fail on that GPU alone, one that it adds is tested nowhere. No
wheel is made; what the store holds already is looked up.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tests.wootz.cuda.emulator import compiler, registered

from millcert.cli.build import run_build
from millcert.cli.console import fail
from millcert.errors import MillcertError
from millcert.hermetic.derivation import Command, Output
from millcert.store import Store, default_root
from millcert.wheel.project import Project

__all__ = ["ROOT", "Code", "differences", "machine_code", "main", "of_cubin", "of_ptx"]

ROOT = Path(__file__).parents[2]

# The parts of ELF's 64-bit header and of its tables that lead to symbols
_HEADER = np.dtype({"names": ["sections", "count"], "formats": ["<u8", "<u2"], "offsets": [40, 60], "itemsize": 64})
_SECTION = np.dtype({
    "names": ["type", "offset", "size", "link"], "formats": ["<u4", "<u8", "<u8", "<u4"], "offsets": [4, 24, 32, 40],
    "itemsize": 64,
})  # fmt: skip
_SYMBOL = np.dtype({
    "names": ["name", "info", "section", "value", "size"], "formats": ["<u4", "u1", "<u2", "<u8", "<u8"],
    "offsets": [0, 4, 6, 8, 16], "itemsize": 24,
})  # fmt: skip
_SYMBOLS, _GLOBAL_FUNCTION = 2, 0x12


class Code(NamedTuple):
    """What one step of a build made: the kernels of a unit for one GPU, or those that a variant lists."""

    where: str  # "cu130 sm_90.cubin"
    unit: str
    kernels: frozenset[str]


def machine_code(data: bytes) -> dict[str, bytes]:
    """The kernels of a cubin: the global functions of its symbol table; helpers of the compiler are local or weak."""
    (header,) = np.frombuffer(data, _HEADER, 1)
    sections = np.frombuffer(data, _SECTION, header["count"], header["sections"])
    (table,) = sections[sections["type"] == _SYMBOLS]
    symbols = np.frombuffer(data, _SYMBOL, int(table["size"]) // _SYMBOL.itemsize, table["offset"])
    names = int(sections[table["link"]]["offset"])
    code = {}
    for symbol in symbols[symbols["info"] == _GLOBAL_FUNCTION]:
        start, begin = names + int(symbol["name"]), int(sections[symbol["section"]]["offset"] + symbol["value"])
        code[data[start : data.index(b"\0", start)].decode()] = data[begin : begin + int(symbol["size"])]
    return code


def of_cubin(data: bytes) -> frozenset[str]:
    """The names of a cubin's kernels."""
    return frozenset(machine_code(data))


def of_ptx(data: bytes) -> frozenset[str]:
    """The kernels of PTX: its entries."""
    return frozenset(re.findall(r"^\.visible \.entry (\w+)\(", data.decode(), re.MULTILINE))


def differences(compiled: Sequence[Code], emulated: Mapping[str, frozenset[str]]) -> list[str]:
    """A line for each kernel that only one side has."""
    lines = [f"{unit} is compiled for no GPU" for unit in sorted(emulated.keys() - {code.unit for code in compiled})]
    for where, unit, kernels in compiled:
        known = emulated.get(unit, frozenset())
        lines += [f"{where}: {unit} lacks {name}, which its source declares" for name in sorted(known - kernels)]
        lines += [f"{where}: {unit} holds {name}, which no test can run" for name in sorted(kernels - known)]
    return lines


def _build(variants: Sequence[str]) -> Iterator[Code]:
    project, store = Project(ROOT), Store(default_root(os.environ))
    chosen = [variant.name for variant in project.variants(variants) if variant.cuda]
    # for no architecture of the host there are kernels, and no wheel
    result = run_build(project, chosen, [], len(os.sched_getaffinity(0)), False, None, None)
    for variant in chosen:
        listed = store.tree_file(result.built[f"kernels-{variant}"].tree, "kernels.json")
        for unit, said in json.loads(listed.read_text("utf-8")).items():
            yield Code(f"{variant} kernels.json", unit, frozenset(said["kernels"]))
        packed = result.plan.nodes[f"fatbin-{variant}"]
        assert isinstance(packed, Command)
        for path, source in packed.inputs.items():
            if not path.startswith("/kernels/") or not isinstance(source, Output):
                continue
            tree = result.built[source.node].tree
            for name in (entry.path for entry in store.tree(tree).entries):
                read = {".cubin": of_cubin, ".ptx": of_ptx}.get(Path(name).suffix)
                if read is not None:
                    yield Code(f"{variant} {name}", path.split("/")[2], read(store.tree_file(tree, name).read_bytes()))


def main(variants: Sequence[str]) -> int:
    """Build and compare; the exit status is the build's, or 1 for a difference."""
    try:
        compiled = list(_build(variants))
    except MillcertError as error:
        fail(error, as_json=False)
        return error.exit_code
    if compiler() is None:
        print(f"{len(compiled)} files compiled; without a C++ compiler their kernels are not compared (install g++)")
        return 0
    emulated = registered()
    lines = differences(compiled, emulated)
    print(*lines, sep="\n", end="\n" * bool(lines))
    count = sum(map(len, emulated.values()))
    print(f"{count} kernels of {len(emulated)} units, {len(compiled)} files: {len(lines)} differences")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

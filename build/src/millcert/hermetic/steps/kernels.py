"""Runs in the sandbox: lists the kernels of every unit, as its cubins' symbol tables name them.

Usage: kernels.py FOLDER OUTPUT, where FOLDER holds UNIT/sm_<n>.cubin/sm_<n>.cubin for each unit and GPU architecture.
"""

import json
import pathlib
import struct
import sys

SYMBOLS = 2  # SHT_SYMTAB
ENTRY = 0x10  # the bit of a symbol's st_other that says it is a kernel


def main() -> None:
    folder, output = sys.argv[1:]
    units = {}
    for unit in sorted(pathlib.Path(folder).iterdir()):
        cubins = sorted(unit.glob("*.cubin/*.cubin"))
        found = {cubin.stem: kernels(cubin.read_bytes()) for cubin in cubins}
        first = next(iter(found.values()))
        for architecture, names in found.items():
            if odd := sorted(set(first) ^ set(names)):
                sys.exit(f"{unit.name}: {cubins[0].stem} and {architecture} differ in their kernels: {', '.join(odd)}")
        if not first:
            sys.exit(f"{unit.name}: this unit holds no kernel")
        units[unit.name] = sorted(first)
    check_unique(units)
    pathlib.Path(output).write_text(json.dumps(units, indent=1, sort_keys=True) + "\n")


def check_unique(units: dict[str, list[str]]) -> None:
    holders: dict[str, str] = {}
    for unit, names in units.items():
        for name in names:
            if name in holders:
                sys.exit(f"{name}: a kernel of this name is in {holders[name]} and in {unit}")
            holders[name] = unit


def kernels(elf: bytes) -> list[str]:
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    size, count = struct.unpack_from("<HH", elf, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", elf, table + i * size) for i in range(count)]
    _, _, _, _, start, length, link, *_ = next(section for section in sections if section[1] == SYMBOLS)
    names = sections[link][4]
    found = []
    for at in range(start, start + length, 24):
        name, _, other = struct.unpack_from("<IBB", elf, at)
        if other & ENTRY:
            found.append(elf[names + name : elf.index(b"\0", names + name)].decode())
    return found


main()

"""Runs in the sandbox: the cubins and PTX of each unit to one fat binary with nvFatbin, beside the list of kernels.

Usage: fatbin.py CUDA_TREE OUTPUT_FOLDER FOLDER LIST, where FOLDER holds UNIT/sm_<n>/sm_<n>.cubin, and
compute_<n>.ptx beside it for one of them.
"""

import ctypes
import pathlib
import sys


def main() -> None:
    tree, output, folder, listed = map(pathlib.Path, sys.argv[1:])
    libraries = sorted(tree.glob("nvidia/**/libnvfatbin.so.*"))
    if len(libraries) != 1:
        sys.exit(f"expected one nvFatbin library, found {[str(path) for path in libraries]}")
    library = ctypes.CDLL(str(libraries[0]))
    # the smallest form that every driver of a CUDA 12 can load; CUDA 13 needs a driver that knows a smaller one
    compression = b"-compress-all" if libraries[0].name.endswith(".so.12") else b"-compress-mode=size"
    output.mkdir(parents=True)
    (output / listed.name).write_bytes(listed.read_bytes())
    for unit in sorted(folder.iterdir()):
        files = [file for file in unit.glob("*/*") if file.suffix in (".cubin", ".ptx")]
        files.sort(key=lambda file: (file.suffix, number(file)))
        (output / f"{unit.name}.fatbin").write_bytes(pack(library, compression, files))


def number(file: pathlib.Path) -> int:
    return int(file.stem.partition("_")[2])


def pack(library: ctypes.CDLL, compression: bytes, files: list[pathlib.Path]) -> bytes:
    handle = ctypes.c_void_p()
    options = (ctypes.c_char_p * 2)(b"-64", compression)
    check(library, library.nvFatbinCreate(ctypes.byref(handle), options, 2))
    for file in files:
        data, architecture = file.read_bytes(), str(number(file)).encode()
        if file.suffix == ".ptx":
            data += b"\0"  # nvFatbin takes PTX as a C string, its end counted
            check(
                library,
                library.nvFatbinAddPTX(handle, data, ctypes.c_size_t(len(data)), architecture, b"kernels", None),
            )
        else:
            check(library, library.nvFatbinAddCubin(handle, data, ctypes.c_size_t(len(data)), architecture, b"kernels"))
    size = ctypes.c_size_t()
    check(library, library.nvFatbinSize(handle, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    check(library, library.nvFatbinGet(handle, buffer))
    check(library, library.nvFatbinDestroy(ctypes.byref(handle)))
    return buffer.raw


def check(library: ctypes.CDLL, status: int) -> None:
    if status:
        library.nvFatbinGetErrorString.restype = ctypes.c_char_p
        sys.exit(f"nvFatbin: {library.nvFatbinGetErrorString(status).decode()}")


main()

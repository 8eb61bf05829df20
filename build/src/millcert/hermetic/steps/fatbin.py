"""Runs in the sandbox: cubins and PTX to one fat binary with nvFatbin.

Usage: fatbin.py CUDA_TREE OUTPUT FILE..., each FILE named sm_<n>.cubin or compute_<n>.ptx.
"""

import ctypes
import pathlib
import sys


def main() -> None:
    tree, output, *files = sys.argv[1:]
    libraries = sorted(pathlib.Path(tree).glob("nvidia/**/libnvfatbin.so.*"))
    if len(libraries) != 1:
        sys.exit(f"expected one nvFatbin library, found {[str(path) for path in libraries]}")
    library = ctypes.CDLL(str(libraries[0]))
    handle = ctypes.c_void_p()
    # the smallest form that every driver of a CUDA 12 can load; CUDA 13 needs a driver that knows a smaller one
    compression = b"-compress-all" if libraries[0].name.endswith(".so.12") else b"-compress-mode=size"
    options = (ctypes.c_char_p * 2)(b"-64", compression)
    check(library, library.nvFatbinCreate(ctypes.byref(handle), options, 2))
    for file in map(pathlib.Path, files):
        data, architecture = file.read_bytes(), file.stem.partition("_")[2].encode()
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
    target = pathlib.Path(output)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(buffer.raw)


def check(library: ctypes.CDLL, status: int) -> None:
    if status:
        library.nvFatbinGetErrorString.restype = ctypes.c_char_p
        sys.exit(f"nvFatbin: {library.nvFatbinGetErrorString(status).decode()}")


main()

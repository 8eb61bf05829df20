"""Runs in the sandbox: one CUDA source to one cubin or PTX with NVRTC, no GPU and no host compiler.

Usage: nvrtc.py CUDA_TREE SOURCE KIND ARCHITECTURE OUTPUT [NVRTC OPTION...], KIND being ``cubin`` or ``ptx``.
"""

import ctypes
import pathlib
import sys


def load(tree: pathlib.Path) -> ctypes.CDLL:
    # 13.0 has no RPATH to its builtins, so they are loaded first; harmless for the others
    for builtins in sorted(tree.glob("nvidia/**/libnvrtc-builtins.so*")):
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    libraries = sorted(path for path in tree.glob("nvidia/**/libnvrtc.so.*") if "alt" not in path.name)
    if len(libraries) != 1:
        sys.exit(f"expected one NVRTC library, found {[str(path) for path in libraries]}")
    return ctypes.CDLL(str(libraries[0]))


def main() -> None:
    tree, source, kind, architecture, output, *options = sys.argv[1:]
    library = load(pathlib.Path(tree))
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    includes = sorted({path.parent for path in pathlib.Path(tree).glob("nvidia/**/cuda_fp16.h")})
    name = f"compute_{architecture}" if kind == "ptx" else f"sm_{architecture}"
    options = [f"--gpu-architecture={name}", *options, *(f"--include-path={path}" for path in includes)]
    program = ctypes.c_void_p()
    text = pathlib.Path(source).read_bytes()
    check(
        library,
        library.nvrtcCreateProgram(ctypes.byref(program), text, pathlib.Path(source).name.encode(), 0, None, None),
    )
    encoded = [option.encode() for option in options]
    status = library.nvrtcCompileProgram(program, len(encoded), (ctypes.c_char_p * len(encoded))(*encoded))
    log = fetch(library, program, "ProgramLog").rstrip(b"\0").decode()
    if log:
        print(log)
    check(library, status)
    data = fetch(library, program, "PTX" if kind == "ptx" else "CUBIN")
    pathlib.Path(output).write_bytes(data.rstrip(b"\0") if kind == "ptx" else data)


def fetch(library: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    check(library, getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    check(library, getattr(library, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


def check(library: ctypes.CDLL, status: int) -> None:
    if status:
        sys.exit(f"NVRTC: {library.nvrtcGetErrorString(status).decode()}")


main()

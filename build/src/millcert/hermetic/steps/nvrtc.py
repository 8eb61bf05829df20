"""Runs in the sandbox: one CUDA source for one GPU architecture with NVRTC, no GPU and no host compiler.

Usage: nvrtc.py CUDA_TREE SOURCE ARCHITECTURE FOLDER KINDS [NVRTC OPTION...], KINDS being ``cubin`` or ``cubin,ptx``.
Writes sm_<n>.cubin, compute_<n>.ptx if wanted, and sm_<n>.json: what the compiler says that each kernel takes of a
thread, in registers, bytes of stack, and bytes of registers spilled.
"""

import ctypes
import json
import pathlib
import re
import sys

KERNEL = re.compile(r"Compiling entry function '(\w+)'(.*?)(?=Compiling entry function|\Z)", re.DOTALL)
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS = re.compile(r"Used (\d+) registers")


def load(tree: pathlib.Path) -> ctypes.CDLL:
    # 13.0 has no RPATH to its builtins, so they are loaded first; harmless for the others
    for builtins in sorted(tree.glob("nvidia/**/libnvrtc-builtins.so*")):
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    libraries = sorted(path for path in tree.glob("nvidia/**/libnvrtc.so.*") if "alt" not in path.name)
    if len(libraries) != 1:
        sys.exit(f"expected one NVRTC library, found {[str(path) for path in libraries]}")
    return ctypes.CDLL(str(libraries[0]))


def main() -> None:
    tree, source, architecture, folder, kinds, *options = sys.argv[1:]
    library = load(pathlib.Path(tree))
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    includes = sorted({path.parent for path in pathlib.Path(tree).glob("nvidia/**/cuda_fp16.h")})
    options = [f"--gpu-architecture=sm_{architecture}", "--ptxas-options=-v", *options]
    options += [f"--include-path={path}" for path in includes]
    program = ctypes.c_void_p()
    text = pathlib.Path(source).read_bytes()
    check(
        library,
        library.nvrtcCreateProgram(ctypes.byref(program), text, pathlib.Path(source).name.encode(), 0, None, None),
    )
    encoded = [option.encode() for option in options]
    status = library.nvrtcCompileProgram(program, len(encoded), (ctypes.c_char_p * len(encoded))(*encoded))
    log = fetch(library, program, "ProgramLog").rstrip(b"\0").decode()
    if status:
        print(log)
    check(library, status)
    output = pathlib.Path(folder)
    (output / f"sm_{architecture}.cubin").write_bytes(fetch(library, program, "CUBIN"))
    if "ptx" in kinds.split(","):  # on its way to the cubin, so it costs nothing
        (output / f"compute_{architecture}.ptx").write_bytes(fetch(library, program, "PTX").rstrip(b"\0"))
    (output / f"sm_{architecture}.json").write_text(json.dumps(report(log), indent=1, sort_keys=True) + "\n")


def report(log: str) -> dict[str, dict[str, int]]:
    found = {}
    for name, said in KERNEL.findall(log):
        frame, registers = FRAME.search(said), REGISTERS.search(said)
        if frame is None or registers is None:
            sys.exit(f"the compiler's report on {name} has another form than this step knows:\n{said}")
        stack, stores, loads = map(int, frame.groups())
        found[name] = {"registers": int(registers[1]), "stack": stack, "spill": stores + loads}
    if not found:
        sys.exit(f"the compiler reports on no kernel:\n{log}")
    return found


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

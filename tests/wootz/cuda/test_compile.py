"""The kernels under NVRTC, without a GPU: they compile, have the emulation's symbols, and spill no register."""

import ctypes
import io
import re
import sys
import tomllib
from pathlib import Path

import pytest
from tests.wootz.cuda.emulator import SOURCE

CONFIGURATION = tomllib.loads((SOURCE.parents[1] / "native.toml").read_text())["cuda"]


def nvrtc_folders():
    """Where NVIDIA's wheels on the path keep their libraries and headers: (library folder, include folders)."""
    for entry in filter(None, sys.path):
        for library in sorted(Path(entry).glob("nvidia/*/lib/libnvrtc.so.1*")):
            headers = [*Path(entry).glob("nvidia/cuda_runtime/include"), *Path(entry).glob("nvidia/cu1*/include")]
            if headers:
                yield library, headers


class Nvrtc:
    def __init__(self, library, headers):
        for builtins in sorted(library.parent.glob("libnvrtc-builtins.so*")):
            ctypes.CDLL(str(builtins), ctypes.RTLD_GLOBAL)  # 13.0 does not find it by itself
        self.library, self.headers = ctypes.CDLL(str(library)), headers

    def architectures(self):
        count = ctypes.c_int()
        self.library.nvrtcGetNumSupportedArchs(ctypes.byref(count))
        held = (ctypes.c_int * count.value)()
        self.library.nvrtcGetSupportedArchs(held)
        return list(held)

    def _text(self, kind, program):
        size = ctypes.c_size_t()
        getattr(self.library, f"nvrtcGet{kind}Size")(program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        getattr(self.library, f"nvrtcGet{kind}")(program, text)
        return text.raw

    def compile(self, unit, architecture):
        program = ctypes.c_void_p()
        self.library.nvrtcCreateProgram(ctypes.byref(program), unit.read_bytes(), unit.name.encode(), 0, None, None)
        include = [*(SOURCE.parents[1] / folder for folder in CONFIGURATION["include"]), *self.headers]
        options = [f"--gpu-architecture=sm_{architecture}", "--ptxas-options=-v", *CONFIGURATION["flags"]]
        options += [f"-I{folder}" for folder in include]
        encoded = [option.encode() for option in options]
        failed = self.library.nvrtcCompileProgram(program, len(encoded), (ctypes.c_char_p * len(encoded))(*encoded))
        log = self._text("ProgramLog", program).decode().rstrip("\0")
        assert not failed, log
        return self._text("CUBIN", program), log


@pytest.fixture(scope="module")
def nvrtc():
    found = next(nvrtc_folders(), None)
    if found is None:
        pytest.skip("NVRTC is not installed (nvidia-cuda-nvrtc and the CUDA headers): the wheel's build compiles these")
    return Nvrtc(*found)


@pytest.mark.slow
def test_the_newest_architecture(nvrtc, emulator):
    elf = pytest.importorskip("elftools.elf.elffile", reason="pyelftools, which reads the symbols, is not installed")
    architecture, held, spills, registers = max(nvrtc.architectures()), [], [], []
    for unit in sorted(SOURCE.glob("*.cu")):
        cubin, log = nvrtc.compile(unit, architecture)
        symbols = elf.ELFFile(io.BytesIO(cubin)).get_section_by_name(".symtab").iter_symbols()
        held += [s.name for s in symbols if s["st_info"]["type"] == "STT_FUNC" and s["st_info"]["bind"] == "STB_GLOBAL"]
        spills += re.findall(r"entry function '(\w+)'.*?(\d+) bytes spill stores", log, re.DOTALL)
        used = [int(n) for n in re.findall(r"Used (\d+) registers", log)]
        registers += [n for n in used if unit.stem != "attention"]  # whose blocks have 128 threads
    assert sorted(held) == sorted(f"{op}_{given}_{made}" for _, op, given, made in emulator.kernels())
    assert len(spills) == len(held)
    assert [name for name, stores in spills if int(stores)] == []
    assert max(registers) <= 128  # what a block of 512 threads can have

"""Runs in the sandbox: have zig build its run-time libraries for one target once, and keep them in /out.

Usage: zig_runtime.py ZIG TARGET. Linking later names these files, so no link builds them again, and none depends
on zig's own cache, which is not reproducible.
"""

import os
import pathlib
import shutil
import subprocess
import sys

PROBE = """
#include <stdexcept>
#include <string>
extern "C" int probe(int n) { if (n) throw std::runtime_error(std::to_string(n)); return 0; }
"""


def main() -> None:
    zig, target = sys.argv[1:]
    work = pathlib.Path("/tmp/runtime")
    work.mkdir()
    (work / "probe.cpp").write_text(PROBE)
    command = [
        zig,
        "c++",
        "-target",
        target,
        "-O3",
        "-fPIC",
        "-fno-sanitize=undefined",
        "-shared",
        "probe.cpp",
        "-o",
        "probe.so",
    ]
    caches = {"ZIG_GLOBAL_CACHE_DIR": "/tmp/runtime/cache", "ZIG_LOCAL_CACHE_DIR": "/tmp/runtime/cache"}
    result = subprocess.run(
        command, cwd=work, capture_output=True, text=True, env={**os.environ, **caches, "ZIG_VERBOSE_LINK": "1"}
    )
    if result.returncode:
        sys.exit(result.stderr)
    link = next(line for line in result.stderr.splitlines() if line.startswith("ld.lld") and " -o probe.so " in line)
    libraries = [word for word in link.split() if word.endswith(".a") or ".so." in word]
    for position, library in enumerate(libraries):
        # the number keeps the order in which zig itself names them to the linker
        shutil.copy(work / library, pathlib.Path("/out") / f"{position:02}-{pathlib.Path(library).name}")


main()

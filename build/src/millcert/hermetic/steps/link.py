"""Runs in the sandbox: objects to a shared library with zig's own linker and the run-time libraries made before.

Usage: link.py ZIG RUNTIME OUTPUT OPTION_OR_OBJECT...
"""

import pathlib
import subprocess
import sys

zig, runtime, output, *rest = sys.argv[1:]
# file names in the run-time folder start with the number that keeps the linker's order
libraries = [str(path) for path in sorted(pathlib.Path(runtime).iterdir())]
command = [zig, "ld.lld", "-shared", "-o", output, "--no-undefined-version", *rest, "--as-needed", *libraries]
sys.exit(subprocess.run(command).returncode)

"""Runs in the sandbox: the type stubs among generated files, which ship beside the module.

Usage: stubs.py GENERATED.
"""

import pathlib
import shutil
import sys

for path in sorted(pathlib.Path(sys.argv[1]).glob("*.pyi")):
    shutil.copyfile(path, pathlib.Path("/out") / path.name)

"""Runs in the sandbox: the root's Python headers as one flat folder in /out that serves every 64-bit target.

Debian's pyconfig.h sends each architecture to a header of its own. Under the stable ABI all 64-bit little-endian
Linux targets agree with x86_64's, so that one is put in its place and cross-compiling needs no second package.
"""

import pathlib
import shutil

HEADERS = pathlib.Path("/usr/include/python3.11")
CONFIG = pathlib.Path("/usr/include/x86_64-linux-gnu/python3.11/pyconfig.h")

shutil.copytree(HEADERS, "/out/include", copy_function=shutil.copyfile)
shutil.copyfile(CONFIG, "/out/include/pyconfig.h")

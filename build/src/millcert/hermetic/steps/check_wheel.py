"""Runs in the sandbox: what auditwheel and abi3audit say of a wheel; fails where they disagree with its name.

Usage: check_wheel.py WHEEL PLATFORM_TAG REPORT.
"""

import json
import pathlib
import subprocess
import sys


def main() -> None:
    wheel, platform, report = sys.argv[1:]
    abi3 = run(["abi3audit", "--strict", "--report", wheel])
    show = run(["auditwheel", "show", wheel])
    flat = " ".join(show.split())
    if f'"{platform}"' not in flat:
        sys.exit(f"auditwheel does not find the wheel consistent with {platform}:\n{show}")
    pathlib.Path(report).write_text(json.dumps({"platform": platform, "abi3audit": json.loads(abi3)}, sort_keys=True))


def run(command: list[str]) -> str:
    name, *rest = command
    result = subprocess.run([sys.executable, "-m", name, *rest], capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{name} refuses the wheel:\n{result.stdout}{result.stderr}")
    return result.stdout


main()

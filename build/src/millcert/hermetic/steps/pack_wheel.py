"""Runs in the sandbox: folders to a wheel whose bytes depend on nothing but the files (PEP 427, RECORD last).

Usage: pack_wheel.py OUTPUT DIST_INFO [SOURCE=PREFIX...]: each SOURCE folder's files go below PREFIX (may be empty).
It runs on the pinned Python because two builds of zlib compress differently.
"""

import base64
import hashlib
import os
import pathlib
import sys
import time
import zipfile


def main() -> None:
    output, dist_info, *pairs = sys.argv[1:]
    members: dict[str, pathlib.Path] = {}
    for source, _, prefix in (pair.partition("=") for pair in pairs):
        for path in sorted(pathlib.Path(source).rglob("*")):
            if path.is_file():
                name = "/".join(filter(None, [prefix, path.relative_to(source).as_posix()]))
                if name in members:
                    sys.exit(f"two sources for {name}: {members[name]} and {path}")
                members[name] = path
    record = f"{dist_info}/RECORD"
    # the metadata comes last, as PEP 427 recommends, so that it can be changed without rewriting the rest
    order = sorted(members, key=lambda name: (name.startswith(f"{dist_info}/"), name))
    clock = time.gmtime(max(int(os.environ["SOURCE_DATE_EPOCH"]), 315532800))  # a zip knows no time before 1980
    moment = (clock.tm_year, clock.tm_mon, clock.tm_mday, clock.tm_hour, clock.tm_min, clock.tm_sec)
    lines = []
    with zipfile.ZipFile(output, "x", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in order:
            data = members[name].read_bytes()
            add(archive, name, data, moment)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{quoted(name)},sha256={digest},{len(data)}")
        lines.append(f"{record},,")
        add(archive, record, ("\n".join(lines) + "\n").encode(), moment)


def quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""')) if any(c in name for c in ',"\n') else name


def add(archive: zipfile.ZipFile, name: str, data: bytes, moment: tuple[int, int, int, int, int, int]) -> None:
    info = zipfile.ZipInfo(name, moment)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3
    info.external_attr = (0o755 if name.endswith(".so") else 0o644) | 0o100000
    info.external_attr <<= 16
    archive.writestr(info, data, compresslevel=9)


main()

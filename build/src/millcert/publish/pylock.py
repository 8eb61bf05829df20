"""``pylock.toml`` (PEP 751): one release with everything it needs, each file by sha256."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from packaging.pylock import Package, PackageWheel, Pylock
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from millcert import __version__
from millcert.names import NormalizedName
from millcert.publish.page import PageFile

__all__ = ["LockEntry", "render_pylock"]

LockEntry = tuple[NormalizedName, Version, Sequence[tuple[str, PageFile]]]  # name, version, (address or path, file)s


def render_pylock(entries: Iterable[LockEntry], identities: Mapping[str, Sequence[Mapping[str, str]]]) -> bytes:
    """The lock of some packages, validated; an address is written as ``url``, a relative path as ``path``.

    ``identities``: PEP 751 attestation identities by project name.
    """
    packages = [
        Package(
            name=canonicalize_name(name), version=version, requires_python=_requires_python(files),
            wheels=[_wheel(where, file) for where, file in sorted(files, key=lambda item: item[1].filename)],
            attestation_identities=list(identities.get(name, ())) or None,
        )
        for name, version, files in sorted(entries, key=lambda entry: entry[0])
    ]  # fmt: skip
    lock = Pylock(lock_version=Version("1.0"), created_by=f"millcert {__version__}", packages=packages)
    lock.validate()
    return _toml(lock.to_dict()).encode()


def _wheel(where: str, file: PageFile) -> PackageWheel:
    place = {"url": where} if "://" in where else {"path": where}
    return PackageWheel(
        name=file.filename, upload_time=file.uploaded.astimezone(UTC), size=file.size,
        hashes={"sha256": file.digest}, **place,
    )  # fmt: skip


def _requires_python(files: Sequence[tuple[str, PageFile]]) -> SpecifierSet | None:
    stated = {file.requires_python for _, file in files}
    return SpecifierSet(stated.pop()) if len(stated) == 1 and stated != {""} else None


def _toml(lock: Mapping[str, Any]) -> str:
    lines = [f"{key} = {_value(value)}" for key, value in lock.items() if key != "packages"]
    for package in lock["packages"]:
        lines += ["", "[[packages]]"]
        lines += [f"{key} = {_value(value)}" for key, value in package.items() if not _is_tables(value)]
        for key, tables in package.items():
            for table in tables if _is_tables(value=tables) else ():
                lines += ["", f"[[packages.{key}]]", *(f"{name} = {_value(value)}" for name, value in table.items())]
    return "\n".join(lines) + "\n"


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _value(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    # a JSON string is a TOML basic string, but for DEL, which no name here can hold
    return json.dumps(value, ensure_ascii=False)

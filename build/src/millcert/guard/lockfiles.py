"""Lock files of uv, Poetry and PDM, and the common format (PEP 751)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from millcert.guard.address import Address, parse_address
from millcert.guard.configuration import strings, tables
from millcert.guard.facts import Entry, Facts, Kind, entry_name
from millcert.guard.lines import LineMap

__all__ = ["read_pdm_lock", "read_poetry_lock", "read_pylock", "read_uv_lock"]


def read_uv_lock(document: Mapping[str, Any], text: str, file: str) -> Facts:
    """uv.lock: every package says which registry it is from."""
    facts = Facts(file, "uv", Kind.LOCK)
    lines = LineMap(text)
    for number, package in enumerate(tables(document.get("package"))):
        source = package.get("source")
        source = source if isinstance(source, Mapping) else {}
        registry, direct = source.get("registry"), source.get("url") or source.get("git")
        files = [*tables([package.get("sdist")]), *tables(package.get("wheels"))]
        hashes = [next(strings(item.get("hash")), "") for item in files]
        _add(
            facts, package, lines.find("package", "name", number),
            origin=_address(registry), direct=_address(direct), files=files, hashes=hashes,
            local=not registry and not direct,
        )  # fmt: skip
    return facts


def read_poetry_lock(document: Mapping[str, Any], text: str, file: str) -> Facts:
    """poetry.lock: a package without a source is from Poetry's default index."""
    facts = Facts(file, "poetry", Kind.LOCK)
    lines = LineMap(text)
    metadata = document.get("metadata")
    older = metadata.get("files") if isinstance(metadata, Mapping) else None  # before Poetry 1.5
    for number, package in enumerate(tables(document.get("package"))):
        source = package.get("source")
        source = source if isinstance(source, Mapping) else {}
        kind = source.get("type")
        files = package.get("files") or (older.get(package.get("name")) if isinstance(older, Mapping) else None)
        files = list(tables(files))
        _add(
            facts, package, lines.find("package", "name", number), files=files,
            hashes=[next(strings(item.get("hash")), "") for item in files],
            origin=_address(source.get("url")) if kind == "legacy" else None,
            direct=_address(source.get("url")) if kind in ("url", "git") else None,
            local=kind in ("directory", "file"), default_origin=not source,
        )  # fmt: skip
    return facts


def read_pdm_lock(document: Mapping[str, Any], text: str, file: str) -> Facts:
    """pdm.lock: files carry hashes; only with static addresses does it say where they come from."""
    facts = Facts(file, "pdm", Kind.LOCK)
    lines = LineMap(text)
    for number, package in enumerate(tables(document.get("package"))):
        files = list(tables(package.get("files")))
        _add(
            facts, package, lines.find("package", "name", number), files=files,
            hashes=[next(strings(item.get("hash")), "") for item in files],
            direct=_address(package.get("url") or package.get("git")), local="path" in package,
        )  # fmt: skip
    return facts


def read_pylock(document: Mapping[str, Any], text: str, file: str) -> Facts:
    """pylock.toml (PEP 751): packages, each with its index where the writer gave it."""
    facts = Facts(file, "pylock", Kind.LOCK)
    lines = LineMap(text)
    for number, package in enumerate(tables(document.get("packages"))):
        files = [*tables(package.get("wheels")), *tables([package.get("sdist")])]
        archive = [*tables([package.get("archive")])]
        hashes = ["".join(_algorithms(item.get("hashes"))[:1]) for item in [*files, *archive]]
        _add(
            facts, package, lines.find("packages", "name", number), files=[*files, *archive], hashes=hashes,
            origin=_address(package.get("index")),
            direct=_address(archive[0].get("url")) if archive else None,
            local=any(key in package for key in ("directory", "vcs")),
        )  # fmt: skip
    return facts


def _add(
    facts: Facts, package: Mapping[str, Any], line: int, *, files: Iterable[Mapping[str, Any]], hashes: list[str],
    origin: Address | None = None, direct: Address | None = None, local: bool = False, default_origin: bool = False,
) -> None:  # fmt: skip
    name = entry_name(package.get("name"))
    if name is None:
        facts.add_problem(f"a package without a valid name: {package.get('name')!r:.80}", line)
        return
    algorithms = tuple(sorted({value.partition(":")[0].lower() for value in hashes if value}))
    addresses = tuple(parse_address(url) for item in files if isinstance(url := item.get("url"), str))
    facts.entries.append(Entry(
        name, facts.place(line, name), str(package.get("version", ""))[:100], origin=origin, direct=direct,
        local=local, default_origin=default_origin, hashes=algorithms, files=addresses,
        unhashed_files=sum(not value for value in hashes),
    ))  # fmt: skip


def _algorithms(hashes: object) -> list[str]:
    """Algorithms of a table of hashes, the strongest first."""
    names = [str(name) for name in hashes] if isinstance(hashes, Mapping) else []
    return sorted(names, key=lambda name: (not name.startswith(("sha2", "sha3", "sha5", "blake")), name))


def _address(value: object) -> Address | None:
    return parse_address(value) if isinstance(value, str) and value else None

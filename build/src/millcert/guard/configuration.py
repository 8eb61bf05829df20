"""Configuration of installers: pip.conf, uv.toml, and what pyproject.toml says to uv, Poetry and PDM."""

from __future__ import annotations

import configparser
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from millcert.guard.address import parse_address
from millcert.guard.facts import Entry, Facts, Kind, Role, entry_name
from millcert.guard.lines import LineMap
from millcert.guard.options import note_option
from millcert.guard.requirements import exact_version, note_requirement

__all__ = ["read_pip_configuration", "read_pyproject", "read_uv_configuration", "strings", "tables"]


def read_pip_configuration(text: str, file: str) -> Facts:
    """pip.conf or pip.ini; the options of every command count."""
    facts = Facts(file, "pip", Kind.CONFIGURATION)
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        facts.add_problem(f"pip cannot read it: {type(error).__name__}", getattr(error, "lineno", 0) or 0, whole=True)
        return facts
    lines = LineMap(text)
    for section in parser.sections():
        for key, value in parser.items(section):
            name = key.replace("_", "-").removeprefix("--")
            note_option(facts, name, value.split(), facts.place(lines.find(section, key), f"{section}.{name}"))
    return facts


def read_uv_configuration(document: Mapping[str, Any], text: str, file: str, prefix: str = "") -> Facts:
    """uv.toml, or (with ``prefix``) the [tool.uv] table of pyproject.toml."""
    facts = Facts(file, "uv", Kind.CONFIGURATION)
    lines = LineMap(text)
    for path in ("", "pip"):
        table = document.get("pip", {}) if path else document
        header = ".".join(filter(None, [prefix, path]))
        for key, value in table.items() if isinstance(table, Mapping) else ():
            if key != "index" and (values := list(strings(value))):
                note_option(facts, key, values, facts.place(lines.find(header, key), f"{header}.{key}".lstrip(".")))
    header = f"{prefix}.index".lstrip(".")
    for number, index in enumerate(tables(document.get("index"))):
        role = Role.EXPLICIT if index.get("explicit") is True else Role.EXTRA
        role = Role.PRIMARY if index.get("default") is True else role
        place = facts.place(lines.find(header, "url", number), f"{header}.url")
        facts.add_index(role, str(index.get("url", "")), place, str(index.get("name", "")))
    return facts


def read_pyproject(document: Mapping[str, Any], text: str, file: str) -> list[Facts]:
    """One Facts for each tool that the file speaks to; requirements come bound to the index that is named for them."""
    lines = LineMap(text)
    tool = document.get("tool")
    tool = tool if isinstance(tool, Mapping) else {}
    uv = read_uv_configuration(_table(tool, "uv"), text, file, "tool.uv")
    uv.kind = Kind.SPECIFICATION
    _note_dependencies(uv, document, lines)
    _bind_uv_sources(uv, _table(tool, "uv"))
    found = [uv]
    if poetry := _table(tool, "poetry"):
        found.append(_read_poetry(poetry, file, lines))
    if pdm := _table(tool, "pdm"):
        found.append(_read_pdm(pdm, file, lines, uv.entries))
    return found


def _note_dependencies(facts: Facts, document: Mapping[str, Any], lines: LineMap) -> None:
    project = _table(document, "project")
    optional = _table(project, "optional-dependencies")
    groups = _table(document, "dependency-groups")
    requires = {"project.dependencies": project.get("dependencies")}
    requires |= {f"project.optional-dependencies.{extra}": value for extra, value in optional.items()}
    requires |= {f"dependency-groups.{group}": value for group, value in groups.items()}
    requires["build-system.requires"] = _table(document, "build-system").get("requires")
    for key, values in requires.items():
        table, _, name = key.rpartition(".")
        for text in strings(values):
            note_requirement(facts, text, lines.find(table, name), key=key)


def _bind_uv_sources(facts: Facts, uv: Mapping[str, Any]) -> None:
    """[tool.uv.sources] binds a name to one index, or to something that is no index."""
    indexes = {index.name: index.address for index in facts.indexes if index.name}
    for raw, source in _table(uv, "sources").items():
        name = entry_name(raw)
        choices = list(tables([source] if isinstance(source, Mapping) else source))
        bound = [indexes.get(str(choice["index"])) for choice in choices if "index" in choice]
        local = bool(choices) and not bound
        origin = bound[0] if len(bound) == len(choices) == 1 else None
        for number, entry in enumerate(facts.entries):
            if entry.name == name:
                direct = entry.direct or (parse_address("") if local else None)
                facts.entries[number] = Entry(
                    entry.name, entry.place, entry.version, origin=origin, direct=direct, local=local
                )


def _read_poetry(poetry: Mapping[str, Any], file: str, lines: LineMap) -> Facts:
    facts = Facts(file, "poetry", Kind.SPECIFICATION)
    for number, source in enumerate(tables(poetry.get("source"))):
        place = facts.place(lines.find("tool.poetry.source", "url", number), "tool.poetry.source.url")
        role = {"explicit": Role.EXPLICIT, "supplemental": Role.EXTRA}.get(str(source.get("priority")), Role.PRIMARY)
        if role is Role.PRIMARY and any(index.role is Role.PRIMARY for index in facts.indexes):
            role = Role.EXTRA  # the first primary source stands in for the default index, the next ones beside it
        facts.add_index(role, str(source.get("url", "")), place, str(source.get("name", "")))
    indexes = {index.name: index.address for index in facts.indexes}
    groups = {"tool.poetry.dependencies": _table(poetry, "dependencies")}
    for group, table in _table(poetry, "group").items():
        groups[f"tool.poetry.group.{group}.dependencies"] = _table({"": table}, "", "dependencies")
    for header, wanted in groups.items():
        for raw, value in wanted.items():
            name = entry_name(raw)
            if name is None or raw == "python":
                continue
            fields = value if isinstance(value, Mapping) else {"version": value}
            local = any(key in fields for key in ("path", "git", "url"))
            facts.entries.append(Entry(
                name, facts.place(lines.find(header, raw), f"{header}.{raw}"),
                exact_version(str(fields.get("version"))), origin=indexes.get(str(fields.get("source"))), local=local,
            ))  # fmt: skip
    return facts


def _read_pdm(pdm: Mapping[str, Any], file: str, lines: LineMap, entries: Iterable[Entry]) -> Facts:
    facts = Facts(file, "pdm", Kind.SPECIFICATION)
    for number, source in enumerate(tables(pdm.get("source"))):
        default = source.get("name") == "pypi"  # PDM's own name for the default index: an entry of it replaces that
        bound = bool(source.get("include_packages"))
        place = facts.place(lines.find("tool.pdm.source", "url", number), "tool.pdm.source.url")
        role = Role.PRIMARY if default else Role.EXPLICIT if bound else Role.EXTRA
        facts.add_index(role, str(source.get("url", "")), place, str(source.get("name", "")))
    facts.entries = list(entries) if facts.indexes else []
    return facts


def _table(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        value = document.get(key)
        document = value if isinstance(value, Mapping) else {}
    return document


def tables(value: object) -> Iterator[Mapping[str, Any]]:
    """The tables of an array of tables; nothing where it is something else."""
    for item in value if isinstance(value, list) else ():
        if isinstance(item, Mapping):
            yield item


def strings(value: object) -> Iterator[str]:
    """A string, a switch, or a list of strings as strings."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, bool):
            yield "true" if item else "false"
        elif isinstance(item, str):
            yield item

"""native.toml: what a project's native part is made of, as data that any builder can execute.

The same file drives the project's CMakeLists.txt, so a contributor's build and the hermetic one share it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from millcert.errors import ConfigError

__all__ = ["CudaSource", "Generate", "Native", "Translation", "headers_of", "load_native"]

_INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|([A-Z_]+\b))', re.MULTILINE)


@dataclass(frozen=True)
class Generate:
    """A script that writes generated sources: ``python3 script OUT`` in the project's folder."""

    script: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Translation:
    """One object: a source compiled with these flags; ``variant`` names the instruction set, or is empty."""

    source: str
    variant: str
    flags: tuple[str, ...]

    @property
    def name(self) -> str:
        """A file name for the object, unique within the module."""
        stem = str(PurePosixPath(self.source).with_suffix("")).replace("/", "-")
        return f"{stem}.{self.variant}.o" if self.variant else f"{stem}.o"


@dataclass(frozen=True)
class CudaSource:
    """The one CUDA translation unit and where its fat binary goes in the wheel."""

    source: str
    include: tuple[str, ...]
    flags: tuple[str, ...]
    install: str


@dataclass(frozen=True)
class Native:
    """All of a native.toml, its globs expanded."""

    folder: Path
    module: str
    include: tuple[str, ...]
    flags: tuple[str, ...]
    link: tuple[str, ...]
    generate: tuple[Generate, ...]
    units: tuple[Mapping[str, Any], ...]
    cuda: CudaSource | None
    python: str

    @property
    def library(self) -> str:
        """Path of the extension module inside the wheel (stable ABI)."""
        return f"{self.module.replace('.', '/')}.abi3.so"

    def translations(self, architecture: str) -> list[Translation]:
        """Every object of the module for one architecture, in a fixed order."""
        found: list[Translation] = []
        for unit in self.units:
            variants = {"": []} if "variants" not in unit else unit["variants"].get(architecture)
            if variants is None:
                raise ConfigError(
                    "native.toml has no flags for this architecture",
                    file=self.folder / "native.toml", expected=f"unit.variants.{architecture}",
                )  # fmt: skip
            for source in _glob(self.folder, unit["sources"]):
                found += [Translation(source, name, (*self.flags, *flags)) for name, flags in sorted(variants.items())]
        return found


def load_native(folder: Path) -> Native:
    """Read ``native.toml`` in a project's folder; ConfigError names the key that is wrong."""
    path = folder / "native.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        module = table["module"]
        cuda = table.get("cuda")
        return Native(
            folder=folder,
            module=module["name"],
            include=tuple(module.get("include", ())),
            flags=tuple(module.get("flags", ())),
            link=tuple(module.get("link", ())),
            generate=tuple(
                Generate(item["script"], tuple(_glob(folder, item["inputs"])), tuple(item["outputs"]))
                for item in table.get("generate", ())
            ),
            units=tuple(table["unit"]),
            cuda=cuda and CudaSource(cuda["source"], tuple(cuda["include"]), tuple(cuda["flags"]), cuda["install"]),
            python=table["python"]["source"],
        )
    except FileNotFoundError:
        raise ConfigError("the project has no native.toml", file=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
        raise ConfigError("native.toml cannot be read", file=path, reason=error) from error
    except KeyError as error:
        raise ConfigError("native.toml lacks a key", file=path, expected=error.args[0]) from error


def _glob(folder: Path, patterns: list[str]) -> list[str]:
    found: list[str] = []
    for pattern in patterns:
        matches = sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file())
        if not matches:
            raise ConfigError("a pattern of native.toml matches no file", file=folder / "native.toml", found=pattern)
        found += matches
    return list(dict.fromkeys(found))


def headers_of(folder: Path, source: str, include: tuple[str, ...]) -> set[str]:
    """The project's own files that a source includes with quotes, however deep; generated ones are not among them.

    Conditions are not evaluated, so the set may be too large, never too small. An include spelt by a macro
    cannot be followed and is refused.
    """
    found: set[str] = set()
    todo = [source]
    while todo:
        current = todo.pop()
        text = (folder / current).read_text(encoding="utf-8")
        for quoted, macro in _INCLUDE.findall(text):
            if macro:
                raise ConfigError("an include spelt by a macro cannot be followed", file=folder / current, found=macro)
            candidates = [PurePosixPath(current).parent / quoted, *(PurePosixPath(base) / quoted for base in include)]
            for candidate in map(_flatten, candidates):
                if candidate not in found and (folder / candidate).is_file():
                    found.add(candidate)
                    todo.append(candidate)
                    break
                if candidate in found:
                    break
    return found


def _flatten(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            if not parts:
                return "."  # above the project: nothing outside is ever read
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts) or "."

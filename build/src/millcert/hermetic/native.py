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

__all__ = ["Generate", "Headers", "Includes", "Kernels", "Native", "Translation", "load_native"]

_HEADERS = (".h", ".hh", ".hpp", ".inc")
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
class Kernels:
    """The CUDA sources, each a unit that is compiled alone, and the folder of the wheel for their fat binaries.

    ``limits`` is the file that says what a kernel may take of a thread.
    """

    sources: tuple[str, ...]
    include: tuple[str, ...]
    flags: tuple[str, ...]
    install: str
    limits: str

    @property
    def units(self) -> dict[str, str]:
        """Each unit's source by the unit's name."""
        return {PurePosixPath(source).stem: source for source in self.sources}


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
    cuda: Kernels | None
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
            cuda=cuda and _kernels(folder, cuda),
            python=table["python"]["source"],
        )
    except FileNotFoundError:
        raise ConfigError("the project has no native.toml", file=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
        raise ConfigError("native.toml cannot be read", file=path, reason=error) from error
    except KeyError as error:
        raise ConfigError("native.toml lacks a key", file=path, expected=error.args[0]) from error


def _kernels(folder: Path, table: Mapping[str, Any]) -> Kernels:
    cuda = Kernels(
        sources=tuple(_glob(folder, table["sources"])), include=tuple(table["include"]), flags=tuple(table["flags"]),
        install=table["install"], limits=table["limits"],
    )  # fmt: skip
    if len(cuda.units) < len(cuda.sources):
        raise ConfigError(
            "two CUDA sources would give fat binaries of one name",
            file=folder / "native.toml", found=", ".join(cuda.sources), expected="a name for each",
        )  # fmt: skip
    return cuda


def _glob(folder: Path, patterns: list[str]) -> list[str]:
    found: list[str] = []
    for pattern in patterns:
        matches = sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file())
        if not matches:
            raise ConfigError("a pattern of native.toml matches no file", file=folder / "native.toml", found=pattern)
        found += matches
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Headers:
    """What a source includes: the project's own headers, and whether generated files are among its includes."""

    files: frozenset[str]
    generated: bool


class Includes:
    """Which of a project's own files its sources include with quotes; each file is read once."""

    def __init__(self, native: Native) -> None:
        self._folder = native.folder
        self._made = {name for generate in native.generate for name in generate.outputs}
        self._quoted: dict[str, list[str]] = {}
        self._found: dict[tuple[str, str, tuple[str, ...]], str | None] = {}
        self._all: dict[tuple[str, ...], frozenset[str]] = {}

    def of(self, source: str, include: tuple[str, ...]) -> Headers:
        """The headers of a source, however deep, found beside the includer or in the ``include`` folders.

        Conditions are not evaluated, so the set may be too large, never too small. What a generated file includes is
        not known before it is made, so a source that includes one gets every header of the include folders. An include
        spelt by a macro cannot be followed and is refused with ConfigError.
        """
        found: set[str] = set()
        generated = False
        todo = [source]
        while todo:
            current = todo.pop()
            for quoted in self._includes(current):
                own = self._resolve(str(PurePosixPath(current).parent), quoted, include)
                if own is None and quoted in self._made and not generated:
                    generated = True
                    everything = self._headers(include) - found
                    found |= everything
                    todo += everything
                elif own is not None and own not in found:
                    found.add(own)
                    todo.append(own)
        return Headers(frozenset(found - {source}), generated)

    def _includes(self, source: str) -> list[str]:
        if source not in self._quoted:
            found = _INCLUDE.findall((self._folder / source).read_text(encoding="utf-8"))
            for _, macro in found:
                if macro:
                    raise ConfigError(
                        "an include spelt by a macro cannot be followed", file=self._folder / source, found=macro
                    )
            self._quoted[source] = [quoted for quoted, _ in found]
        return self._quoted[source]

    def _resolve(self, beside: str, quoted: str, include: tuple[str, ...]) -> str | None:
        asked = (beside, quoted, include)
        if asked not in self._found:
            candidates = (_flatten(PurePosixPath(base) / quoted) for base in (beside, *include))
            self._found[asked] = next((path for path in candidates if (self._folder / path).is_file()), None)
        return self._found[asked]

    def _headers(self, include: tuple[str, ...]) -> frozenset[str]:
        if include not in self._all:
            below = (path for base in include for path in (self._folder / base).rglob("*") if path.suffix in _HEADERS)
            self._all[include] = frozenset(
                path.relative_to(self._folder).as_posix() for path in below if path.is_file()
            )
        return self._all[include]


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

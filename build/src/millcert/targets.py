"""ci/targets.toml: the one place that names variants, architectures and limits."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from millcert.errors import ConfigError, UsageError

__all__ = ["Architecture", "Cuda", "ImageBudgets", "Limits", "Targets", "Variant", "load_targets"]


@dataclass(frozen=True)
class Architecture:
    """A CPU architecture: its zig target triple and its wheel platform tag."""

    name: str
    zig_target: str
    platform_tag: str


@dataclass(frozen=True)
class Cuda:
    """What a CUDA variant is compiled for: toolkit version, ``sm_`` numbers in rising order, CuPy distribution."""

    version: str
    gpu: tuple[int, ...]
    cupy: str

    @property
    def newest(self) -> int:
        """The architecture whose PTX is packed, so that later GPUs can run the kernels."""
        return self.gpu[-1]


@dataclass(frozen=True)
class Variant:
    """One kind of wheel: ``cpu`` or one CUDA version, on each of its architectures."""

    name: str
    architectures: tuple[str, ...]
    cuda: Cuda | None


@dataclass(frozen=True)
class Limits:
    """Bounds of one sandboxed step: seconds, MiB of memory, processes and threads, MiB of output and of log."""

    wall_seconds: int
    memory_mib: int
    processes: int
    output_mib: int
    log_mib: int


@dataclass(frozen=True)
class ImageBudgets:
    """The most that an image's gzip layers may weigh, in bytes: each layer by its name, each image by its variant.

    A budget for ``VARIANT-slim`` is what makes an image of that CUDA variant without cuBLAS.
    """

    layers: Mapping[str, int]
    totals: Mapping[str, int]


@dataclass(frozen=True)
class Targets:
    """All of targets.toml; ``images`` is None for a project that builds none."""

    project: str
    source: Path
    python_tag: str
    abi_tag: str
    architectures: Mapping[str, Architecture]
    variants: Mapping[str, Variant]
    limits: Limits
    images: ImageBudgets | None = None

    def choose(self, names: Iterable[str]) -> list[Variant]:
        """The named variants in the file's order, all of them for no names; UsageError for an unknown one."""
        wanted = list(dict.fromkeys(names))
        for name in wanted:
            if name not in self.variants:
                raise UsageError(
                    f"there is no variant {name!r}",
                    expected=", ".join(self.variants), found=name, fix="name one of these, or none for all of them",
                )  # fmt: skip
        return [variant for name, variant in self.variants.items() if not wanted or name in wanted]


def load_targets(path: Path) -> Targets:
    """Read and check a targets.toml; ConfigError with file and key for anything unexpected."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("no targets file", file=path, fix="run from the project's root, or pass --project") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("targets file is not TOML", file=path, reason=error) from error
    table = _Reader(path, document)
    project = table.table("project")
    architectures = {
        name: Architecture(name, fields.text("zig_target"), fields.text("platform_tag"))
        for name, fields in table.tables("architectures")
    }
    variants = {name: _variant(name, fields, architectures) for name, fields in table.tables("variants")}
    limits = table.table("limits")
    targets = Targets(
        project=project.text("name"),
        source=Path(project.text("source")),
        python_tag=project.text("python_tag"),
        abi_tag=project.text("abi_tag"),
        architectures=architectures,
        variants=variants,
        limits=Limits(**{field.name: limits.number(field.name) for field in fields(Limits)}),
        images=_image_budgets(table.table("images"), variants) if table.has("images") else None,
    )
    for reader in (project, limits, table):
        reader.finish()
    return targets


def _variant(name: str, fields: _Reader, architectures: Mapping[str, Architecture]) -> Variant:
    chosen = tuple(fields.texts("architectures"))
    if unknown := [a for a in chosen if a not in architectures]:
        raise fields.error("architectures", f"unknown {', '.join(unknown)}", ", ".join(architectures))
    cuda = None
    if fields.has("cuda"):
        gpu = tuple(fields.numbers("gpu"))
        if not gpu or list(gpu) != sorted(set(gpu)):
            raise fields.error("gpu", str(list(gpu)), "at least one sm_ number, each once, in rising order")
        cuda = Cuda(fields.text("cuda"), gpu, fields.text("cupy"))
    fields.finish()
    return Variant(name, chosen, cuda)


def _image_budgets(table: _Reader, variants: Mapping[str, Variant]) -> ImageBudgets:
    layers, totals = table.numbers_of("layer_bytes"), table.numbers_of("image_bytes")
    table.finish()
    slim = {f"{name}-slim" for name, variant in variants.items() if variant.cuda}
    if odd := sorted((set(totals) - slim) ^ set(variants)):
        raise table.error(f"image_bytes.{odd[0]}", "a budget without its variant, or a variant without", "one for each")
    return ImageBudgets(layers, totals)


class _Reader:
    """A TOML table that says which file and key is wrong, and refuses keys that nobody reads."""

    def __init__(self, path: Path, table: Mapping[str, Any], prefix: str = "") -> None:
        self._path, self._table, self._prefix = path, table, prefix
        self._read: set[str] = set()

    def error(self, key: str, found: str, expected: str) -> ConfigError:
        return ConfigError(
            "targets file: wrong value", file=self._path, key=self._prefix + key, found=found, expected=expected
        )

    def has(self, key: str) -> bool:
        return key in self._table

    def _value(self, key: str, kind: type, expected: str) -> Any:
        self._read.add(key)
        value = self._table.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(key, "nothing" if value is None else repr(value), expected)
        return value

    def text(self, key: str) -> str:
        return str(self._value(key, str, "a string"))

    def number(self, key: str) -> int:
        value = int(self._value(key, int, "a whole number above zero"))
        if value <= 0:
            raise self.error(key, str(value), "a whole number above zero")
        return value

    def numbers_of(self, key: str) -> dict[str, int]:
        """A table of whole numbers above zero."""
        inner = self.table(key)
        return {name: inner.number(name) for name in inner._table}

    def texts(self, key: str) -> list[str]:
        return [str(item) for item in self._list(key, str, "a list of strings")]

    def numbers(self, key: str) -> list[int]:
        return [int(item) for item in self._list(key, int, "a list of whole numbers")]

    def _list(self, key: str, kind: type, expected: str) -> list[Any]:
        value: list[Any] = self._value(key, list, expected)
        if not all(isinstance(item, kind) for item in value):
            raise self.error(key, repr(value), expected)
        return value

    def table(self, key: str) -> _Reader:
        return _Reader(self._path, self._value(key, dict, "a table"), f"{self._prefix}{key}.")

    def tables(self, key: str) -> list[tuple[str, _Reader]]:
        inner = self.table(key)
        return [(name, inner.table(name)) for name in inner._table]

    def finish(self) -> None:
        """ConfigError if a key was never read: a misspelt limit must not pass as no limit."""
        if unknown := sorted(set(self._table) - self._read):
            raise self.error(unknown[0], "a key that means nothing", ", ".join(sorted(self._read)))

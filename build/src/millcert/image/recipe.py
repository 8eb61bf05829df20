"""ci/image.toml: what the images are called, how they start, and what is left out of them and why."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from millcert.errors import ConfigError

__all__ = ["LayerKind", "PruneRule", "Recipe", "load_recipe"]

# rarest change first, which is also the order in an image
LayerKind = Literal["base", "bytecode", "wheels", "cupy", "cupy-slim", "cuda", "blas", "project"]
_PRUNED: tuple[LayerKind, ...] = tuple(kind for kind in get_args(LayerKind) if kind != "bytecode")


@dataclass(frozen=True)
class PruneRule:
    """Paths that are left out of some layers, and why; in a pattern ``*`` also matches slashes."""

    layers: tuple[LayerKind, ...]
    paths: tuple[str, ...]
    keep: tuple[str, ...]
    why: str

    def as_dict(self) -> dict[str, object]:
        """The rule as the layer step reads it."""
        return {"paths": list(self.paths), "keep": list(self.keep), "why": self.why}


@dataclass(frozen=True)
class Recipe:
    """All of image.toml; ``healthcheck`` is Python source that fails where the image does not work."""

    title: str
    description: str
    licenses: str
    environment: Mapping[str, str]
    cuda_environment: Mapping[str, str]
    healthcheck: str
    prune: tuple[PruneRule, ...]

    def rules(self, kind: LayerKind) -> list[PruneRule]:
        """The rules of one kind of layer, in the file's order; of what the base lacks nothing is compiled."""
        return [rule for rule in self.prune if ("base" if kind == "bytecode" else kind) in rule.layers]


def load_recipe(path: Path) -> Recipe:
    """Read and check an image.toml; ConfigError with the key for anything unexpected."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        recipe = _recipe(document)
    except FileNotFoundError:
        raise ConfigError("the project has no image recipe", file=path, fix="write one, or build wheels only") from None
    except (ValueError, SyntaxError) as error:
        raise ConfigError(
            "image.toml is not what it should be (TOML of a fixed shape)", file=path, reason=error
        ) from error
    return recipe


def _recipe(document: Mapping[str, Any]) -> Recipe:
    image = _only(document, {"image", "prune"}, "the file")["image"]
    known = {"title", "description", "licenses", "environment", "cuda_environment", "healthcheck"}
    fields = _only(image, known, "image")
    texts = {key: _text(fields[key], f"image.{key}") for key in ("title", "description", "licenses", "healthcheck")}
    compile(texts["healthcheck"], "image.healthcheck", "exec")
    return Recipe(
        **texts,
        environment=_table(fields["environment"], "image.environment"),
        cuda_environment=_table(fields["cuda_environment"], "image.cuda_environment"),
        prune=tuple(_rule(entry, f"prune[{index}]") for index, entry in enumerate(document["prune"])),
    )


def _rule(entry: Any, where: str) -> PruneRule:
    fields = _only({"keep": [], **entry}, {"layers", "paths", "keep", "why"}, where)
    layers = _texts(fields["layers"], f"{where}.layers")
    if odd := [layer for layer in layers if layer not in _PRUNED]:
        raise ValueError(f"{where}.layers: {odd[0]!r} is none of {', '.join(_PRUNED)}")
    return PruneRule(
        tuple(kind for kind in _PRUNED if kind in layers),
        _texts(fields["paths"], f"{where}.paths"),
        _texts(fields["keep"], f"{where}.keep", empty=True),
        _text(fields["why"], f"{where}.why"),
    )


def _only(fields: Any, keys: set[str], where: str) -> Mapping[str, Any]:
    if not isinstance(fields, dict) or set(fields) != keys:
        found = sorted(set(fields) ^ keys)[0] if isinstance(fields, dict) else type(fields).__name__
        raise ValueError(f"{where}: {found!r} is unknown or missing; it has {', '.join(sorted(keys))}")
    return fields


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} is not a text")
    return value


def _texts(value: Any, where: str, *, empty: bool = False) -> tuple[str, ...]:
    if not isinstance(value, list) or not (value or empty):
        raise ValueError(f"{where} is not a list of texts")
    return tuple(_text(item, where) for item in value)


def _table(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not a table")
    return {key: _text(item, f"{where}.{key}") for key, item in sorted(value.items())}

"""Which index a project name belongs to: owned names and prefixes to theirs, everything else upstream."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from millcert.errors import ConfigError, ConfusionError
from millcert.names import NormalizedName, look_alike_key, normalize

__all__ = ["Namespaces", "parse_namespaces", "read_namespaces"]


@dataclass(frozen=True)
class Namespaces:
    """The map of one project: ``owned`` names and ``prefixes`` (ending in a dash), each with its index."""

    upstream: str
    owned: dict[NormalizedName, str]
    prefixes: dict[str, str]

    def index_of(self, name: NormalizedName) -> str:
        """The one index that a name may come from.

        Raises ConfusionError for a name that a reader could take for an owned one.
        """
        if (index := self.owned.get(name)) is not None:
            return index
        for prefix, index in self.prefixes.items():
            if name.startswith(prefix):
                return index
        if (original := self.imitated(name)) is not None:
            raise ConfusionError(
                "a name that looks like one of ours", found=name, expected=original,
                fix="correct the name, or remove the requirement that brings it in",
            )  # fmt: skip
        return self.upstream

    def imitated(self, name: NormalizedName) -> str | None:
        """The owned name, or prefix, that an unowned name could be taken for; None for every other name.

        Prefixes are compared up to their last dash: ``w00tz-cuda`` imitates ``wootz-``, ``wootzcuda`` names nothing.
        """
        if name in self.owned or any(name.startswith(prefix) for prefix in self.prefixes):
            return None
        key = look_alike_key(name)
        for own in self.owned:
            if look_alike_key(own) == key:
                return own
        folded = _folded(name)
        return next((prefix for prefix in self.prefixes if folded.startswith(f"{_folded(prefix[:-1])}-")), None)

    def check_origin(self, name: NormalizedName, found: str) -> None:
        """ConfusionError where a name was taken from an index that it does not belong to."""
        expected = self.index_of(name)
        if expected != found:
            raise ConfusionError(
                "a name was taken from an index that it does not belong to",
                name=name, expected=expected, found=found,
                fix="remove the requirement that brings it in, or correct lockfiles/namespaces.toml",
            )  # fmt: skip


def _folded(name: str) -> str:
    return "-".join(look_alike_key(part) for part in name.split("-"))


def read_namespaces(path: Path) -> Namespaces:
    """The map in a file; ConfigError where it is missing or not one."""
    try:
        return parse_namespaces(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError("there is no namespace map", file=path) from None
    except ConfigError as error:
        raise ConfigError(error.message, file=path, **error.evidence) from error


def parse_namespaces(data: bytes) -> Namespaces:
    """The map from its TOML bytes."""
    try:
        document = tomllib.loads(data.decode())
        upstream, tables = document["upstream"], document["owned"]
        owned = {normalize(name): index for index, table in tables.items() for name in table["names"]}
        prefixes = {prefix: index for index, table in tables.items() for prefix in table["prefixes"]}
        if not isinstance(upstream, str) or upstream in tables:
            raise ValueError("upstream must name an index that owns no names")
        if bad := [prefix for prefix in prefixes if not prefix.endswith("-") or normalize(prefix[:-1]) != prefix[:-1]]:
            raise ValueError(f"prefix {bad[0]!r} is not a normalised name with a dash at its end")
    except (
        UnicodeDecodeError,
        tomllib.TOMLDecodeError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        ConfigError,
    ) as error:
        raise ConfigError("not a namespace map", reason=repr(error)) from error
    return Namespaces(upstream, owned, prefixes)

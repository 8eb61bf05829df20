"""The options of pip and uv that decide where files come from, as they stand in files, arguments and variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from millcert.guard.facts import Facts, Kind, Role, Setting
from millcert.guard.finding import Place

__all__ = ["ENVIRONMENT", "is_on", "note_option", "read_environment"]

ENVIRONMENT = "environment"
_ROLES = {
    "index-url": Role.PRIMARY, "default-index": Role.PRIMARY, "extra-index-url": Role.EXTRA, "index": Role.EXTRA,
    "find-links": Role.LINKS,
}  # fmt: skip
_SETTINGS = {
    "trusted-host": "trusted-host", "allow-insecure-host": "trusted-host", "insecure-host": "trusted-host",
    "index-strategy": "index-strategy", "no-index": "no-index", "require-hashes": "require-hashes",
    "no-verify-hashes": "no-verify-hashes", "verify-hashes": "verify-hashes", "no-require-hashes": "no-require-hashes",
}  # fmt: skip
_OFF = ("", "0", "false", "no", "off", "n", "f")


def note_option(facts: Facts, key: str, values: Iterable[str], place: Place) -> None:
    """Record one option under its long name without dashes; what does not matter here is passed over."""
    if (role := _ROLES.get(key)) is not None:
        for value in values:
            if key == "index":  # uv writes NAME=ADDRESS
                name, equals, address = value.partition("=")
                named = bool(equals) and "/" not in name
                facts.add_index(role, address if named else value, place, name if named else "")
            else:
                facts.add_index(role, value, place)
    elif (setting := _SETTINGS.get(key)) is not None:
        facts.settings += [Setting(setting, value.strip(), place) for value in values]


def is_on(setting: Setting | None) -> bool:
    """Whether a switch is given and not off."""
    return setting is not None and setting.value.lower() not in _OFF


def read_environment(environ: Mapping[str, str]) -> list[Facts]:
    """What ``PIP_*`` and ``UV_*`` variables state, one Facts a tool."""
    found = []
    for tool, prefix in (("pip", "PIP_"), ("uv", "UV_")):
        facts = Facts(ENVIRONMENT, tool, Kind.CONFIGURATION)
        for variable, value in sorted(environ.items()):
            if variable.startswith(prefix) and value:
                key = variable.removeprefix(prefix).lower().replace("_", "-")
                separator = "," if (tool, key) == ("uv", "find-links") else None
                note_option(facts, key, value.split(separator), facts.place(key=variable))
        found.append(facts)
    return found

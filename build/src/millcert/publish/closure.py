"""The rule that makes an index complete: every name a published wheel requires is owned by us or locked by hash.

What is neither could be looked for on another index, where anybody may register it (torchtriton, December 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from packaging.requirements import Requirement
from packaging.version import Version

from millcert.errors import ConfusionError
from millcert.lock import Lock
from millcert.names import NormalizedName, look_alike_key, normalize
from millcert.publish.artifact import CoreMetadata
from millcert.publish.errors import DependencyError

__all__ = ["check_locked_names", "check_requirements"]

_PYTHONS = tuple(f"3.{minor}" for minor in range(11, 16))
_LINUX = {
    "implementation_name": "cpython", "platform_python_implementation": "CPython", "os_name": "posix",
    "sys_platform": "linux", "platform_system": "Linux", "platform_release": "", "platform_version": "", "extra": "",
}  # fmt: skip
_ENVIRONMENTS: tuple[dict[str, str], ...] = tuple(
    _LINUX | {"platform_machine": machine, "python_version": python}
    | dict.fromkeys(("python_full_version", "implementation_version"), f"{python}.0")
    for python, machine in product(_PYTHONS, ("x86_64", "aarch64"))
)  # fmt: skip


def check_locked_names(lock: Lock, owned: frozenset[NormalizedName]) -> None:
    """ConfusionError where the lock brings an owned name, or a look-alike of one, from another index."""
    keys = {look_alike_key(name): name for name in owned}
    for pin in lock.pins:
        if (ours := keys.get(look_alike_key(pin.name))) is not None:
            raise ConfusionError(
                "the lock takes an owned name, or one that looks like it, from another index",
                owned=ours, found=f"{pin.name}=={pin.version}", index=pin.index, file=lock.path,
                fix="remove it from the lock's .in file, and find out how it got there",
            )  # fmt: skip


def check_requirements(
    metadata: CoreMetadata, filename: str, owned: frozenset[NormalizedName], locked: Mapping[NormalizedName, Version]
) -> None:
    """DependencyError for a requirement of a wheel that is neither owned nor locked.

    Our own wheels are held to every requirement they state; a third party's only to those that can apply to
    CPython 3.11 or later on Linux without extras.
    """
    ours = metadata.name in owned
    for requirement in metadata.requires:
        if ours or _applies(requirement):
            _check(requirement, filename, owned, locked)


def _check(
    requirement: Requirement, filename: str, owned: frozenset[NormalizedName], locked: Mapping[NormalizedName, Version]
) -> None:
    def refuse(message: str, fix: str, **evidence: object) -> DependencyError:
        return DependencyError(message, file=filename, requirement=requirement, **evidence, fix=fix)

    name = normalize(requirement.name)
    if requirement.url:
        raise refuse("a requirement by address leaves the index", "require a locked name instead")
    if name in owned:
        return
    if name not in locked:
        raise refuse(
            "a requirement that is neither owned nor locked by hash",
            f"lock {name} for this variant, or drop it",
            name=name,
        )
    if _applies(requirement) and not requirement.specifier.contains(locked[name], prereleases=True):
        raise refuse("the lock does not satisfy a requirement", "run `millcert lock`", locked=f"{name}=={locked[name]}")


def _applies(requirement: Requirement) -> bool:
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate(environment) for environment in _ENVIRONMENTS)

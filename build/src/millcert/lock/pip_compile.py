"""pip-compile for one fixed target, whatever the host: run as a program by ``millcert.lock.resolver``.

pip can be told a platform but evaluates environment markers for the interpreter it runs in, and
pip-tools passes neither on. Both ask three places, which are given the target's answer here. Wheels only.
"""

from __future__ import annotations

import functools
import json
import sys
from typing import Any

from pip._internal.cli.req_command import RequirementCommand
from pip._internal.models.target_python import TargetPython
from pip._vendor.packaging import markers

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """First argument: the target as JSON (``version``, ``platforms``, ``markers``); the rest is pip-compile's."""
    target = json.loads(arguments[0])
    version = tuple(target["version"])
    abi = f"cp{version[0]}{version[1]}"
    target_python = TargetPython(
        platforms=target["platforms"], py_version_info=version, abis=[abi], implementation="cp"
    )
    _override(RequirementCommand, "_build_package_finder", target_python=target_python)
    _override(RequirementCommand, "make_resolver", py_version_info=version)
    markers.default_environment = target["markers"].copy

    from piptools.scripts.compile import cli

    cli(arguments[1:], prog_name="pip-compile")


def _override(owner: type, name: str, **fixed: Any) -> None:
    original = getattr(owner, name)
    bound = not isinstance(owner.__dict__[name], classmethod)

    @functools.wraps(original)
    def replacement(*arguments: Any, **named: Any) -> Any:
        # a classmethod's class is bound in `original` already
        return original(*(arguments if bound else arguments[1:]), **{**named, **fixed})

    setattr(owner, name, replacement if bound else classmethod(replacement))


if __name__ == "__main__":
    main(sys.argv[1:])

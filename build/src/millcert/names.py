"""Project names: the only place where two names are compared.

Normalisation is PEP 503; look-alikes follow the rule PyPI applies to new projects (``ultranormalize_name``
in Warehouse): separators vanish, ``l``, ``1`` and ``i`` are one letter, ``0`` and ``o`` are one letter.
"""

from __future__ import annotations

import re
from typing import NewType

from millcert.errors import ConfigError

__all__ = ["NormalizedName", "look_alike_key", "normalize"]

NormalizedName = NewType("NormalizedName", str)

_VALID = re.compile(r"[A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9]", re.IGNORECASE | re.ASCII)


def normalize(name: str) -> NormalizedName:
    """The PEP 503 form of a project name; ConfigError where the name is not a valid one.

    >>> normalize("Foo._-Bar")
    'foo-bar'
    """
    if not _VALID.fullmatch(name):
        raise ConfigError("not a valid project name", found=repr(name), expected="letters, digits, '.', '_', '-'")
    return NormalizedName(re.sub(r"[-_.]+", "-", name).lower())


def look_alike_key(name: str) -> str:
    """A key that is equal for names a reader could take for one another.

    >>> look_alike_key("w00tz") == look_alike_key("WOO-TZ")
    True
    """
    folded = re.sub(r"[-_.]+", "", normalize(name))
    return re.sub("[l1]", "i", folded).replace("0", "o")

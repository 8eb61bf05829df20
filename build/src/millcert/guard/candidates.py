"""Names that a reader could take for a given one: the other direction of ``millcert.names.look_alike_key``."""

from __future__ import annotations

from collections.abc import Iterator

from millcert.names import NormalizedName, look_alike_key

__all__ = ["look_alikes"]

_CLASSES = ("l1i", "0o")


def look_alikes(name: NormalizedName, limit: int = 64) -> tuple[NormalizedName, ...]:
    """At most ``limit`` normalised names that share a name's look-alike key, those with the fewest changes first.

    All of them would be exponentially many; one or two changes are what an eye passes over.
    """
    key = look_alike_key(name)
    found: dict[str, None] = {name: None}
    edge = [str(name)]
    while edge and len(found) <= limit:
        further: list[str] = []
        for near in edge:
            for variant in _changed_once(near):
                if variant not in found and look_alike_key(variant) == key:
                    found[variant] = None
                    further.append(variant)
            if len(found) > limit:
                break
        edge = further
    return tuple(NormalizedName(variant) for variant in list(found)[1 : limit + 1])


def _changed_once(name: str) -> Iterator[str]:
    for place, character in enumerate(name):
        for letters in _CLASSES:
            if character in letters:
                yield from (name[:place] + other + name[place + 1 :] for other in letters if other != character)
    for place, character in enumerate(name):
        if character == "-":
            yield name[:place] + name[place + 1 :]
        elif place and name[place - 1] != "-":
            yield name[:place] + "-" + name[place:]

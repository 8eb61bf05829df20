"""The rule that no name falls through: an owned name comes from its own index, or from nowhere.

Pure: it is given what each index answered and says which one may be used. *Absent* (the index answered, and has
no such project) and *unavailable* (whether it has is not known) are different answers, and neither is a reason
to look elsewhere. Versions never matter: a higher one on a wrong index is evidence, not an offer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum

from millcert.errors import ConfusionError
from millcert.index import Reservation
from millcert.lock.namespaces import Namespaces
from millcert.model import Digest
from millcert.names import NormalizedName

__all__ = [
    "Answer",
    "Decision",
    "HomeUnavailableError",
    "NameAbsentError",
    "Presence",
    "ResolverPolicy",
]


class NameAbsentError(ConfusionError):
    """The one index that a name may come from answered, and does not have it."""


class HomeUnavailableError(ConfusionError):
    """The one index that a name may come from gave no answer."""


class Presence(Enum):
    """What an index said about a project."""

    PRESENT = "present"
    ABSENT = "absent"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class Answer:
    """One index's answer: what it has of a project, or why it gave none; ``tells`` that it knows of reservations."""

    presence: Presence
    versions: tuple[str, ...] = ()
    reason: str = ""
    tells: bool = False
    reservation: Reservation | None = None

    def __str__(self) -> str:
        more = ", ".join(self.versions[-5:]) or self.reason
        return f"{self.presence.value} ({more})" if more else self.presence.value


NOT_ASKED = Answer(Presence.UNAVAILABLE, reason="not asked")


@dataclass(frozen=True)
class Decision:
    """The index a name is taken from; ``strangers`` are other indexes that have a project of that name too."""

    name: NormalizedName
    index: str
    owned: bool
    versions: tuple[str, ...]
    strangers: Mapping[str, Answer] = field(default_factory=dict)


class ResolverPolicy:
    """Decides, for one namespace map, where a name and each of its files may come from."""

    def __init__(self, namespaces: Namespaces) -> None:
        self.namespaces = namespaces

    def home(self, name: NormalizedName) -> str:
        """The one index of a name; ConfusionError where a reader could take the name for an owned one."""
        return self.namespaces.index_of(name)

    def decide(self, name: NormalizedName, answers: Mapping[str, Answer]) -> Decision:
        """Where to take a project from, given what the indexes (by name) answered.

        Raises NameAbsentError or HomeUnavailableError, both ConfusionError, with every other index's answer.
        """
        home = self.home(name)
        answer = answers.get(home, NOT_ASKED)
        others = {index: other for index, other in sorted(answers.items()) if index != home}
        strangers = {index: other for index, other in others.items() if other.presence is Presence.PRESENT}
        owned = home != self.namespaces.upstream
        if answer.presence is Presence.PRESENT:
            return Decision(name, home, owned, answer.versions, strangers)
        evidence = {
            "name": name, "index": home, "answer": answer,
            "elsewhere": "; ".join(f"{index}: {other}" for index, other in others.items()) or None,
        }  # fmt: skip
        whose = "an owned name" if owned else "a name"
        if answer.presence is Presence.ABSENT:
            raise NameAbsentError(
                f"{whose} is absent on its index, and is never taken from another one", **evidence,
                fix="correct the name or publish the project there; find out who holds the name elsewhere",
            )  # fmt: skip
        raise HomeUnavailableError(
            f"the index of {whose} is unavailable, and no other one stands in for it", **evidence,
            fix="try again when it answers",
        )  # fmt: skip

    def admit(
        self, name: NormalizedName, *, index: str, digest: Digest, locked: Collection[Digest] | None = None
    ) -> None:
        """Whether a file that came from ``index`` may be used; ConfusionError where not.

        An owned name's file must come from its index, everything else must be locked by hash. Where the caller
        has a lock, an owned file must be in it as well.
        """
        home = self.home(name)
        owned = home != self.namespaces.upstream
        if owned and index != home:
            raise ConfusionError(
                "a file of an owned name came from an index that does not own it",
                name=name, expected=home, found=index, sha256=digest,
                fix="remove that index from the configuration; `millcert guard audit` says where it is",
            )  # fmt: skip
        if locked is None and not owned:
            raise ConfusionError(
                "a name that is neither owned nor locked by hash", name=name, index=index, sha256=digest,
                fix="lock it: `millcert lock`",
            )  # fmt: skip
        if locked is not None and digest not in locked:
            raise ConfusionError(
                "a file that the lock does not hold", name=name, index=index, found=digest,
                expected=", ".join(sorted(locked)[:4]) or "no file of this name",
                fix="do not relock before you know why: released files do not change",
            )  # fmt: skip

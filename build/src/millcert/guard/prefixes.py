"""Whether our prefixes are reserved on other indexes (PEP 752), where a reservation refuses strangers' uploads.

An index says it on a project's page, so it is asked for the project that a prefix is named after, ``wootz`` for
``wootz-``. PEP 708, by which an index could name others whose files count as its own, was rejected and is not followed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from millcert.guard.address import Address
from millcert.guard.policy import Answer, Presence
from millcert.guard.scene import Ask
from millcert.lock.namespaces import Namespaces
from millcert.names import normalize

__all__ = ["Prefix", "Status", "check_prefixes"]


class Status(Enum):
    """What an index says of a prefix, and what that means."""

    RESERVED = "reserved for the owner of the project of that name there"
    OPEN = "reserved, but open: anybody may register names below it"
    FOREIGN = "reserved by somebody else than the owner of the project of that name there"
    FREE = "not reserved: anybody may register names below it"
    UNSAID = "the index knows of no reservations"
    ABSENT = "not known: there is no project of that name to ask for; hold it with `millcert guard reserve`"
    SILENT = "not known: the index gave no answer"

    @property
    def alarm(self) -> bool:
        """Whether somebody took the prefix."""
        return self is Status.FOREIGN


@dataclass(frozen=True)
class Prefix:
    """An owned prefix on an index that does not own it."""

    index: str
    prefix: str
    status: Status

    def as_dict(self) -> dict[str, object]:
        """The prefix for reports."""
        return {
            "index": self.index, "prefix": self.prefix, "status": self.status.name.lower(), "alarm": self.status.alarm,
        }  # fmt: skip


def check_prefixes(namespaces: Namespaces, indexes: Mapping[str, Sequence[Address]], ask: Ask) -> tuple[Prefix, ...]:
    """Ask every index about every owned prefix."""
    return tuple(
        Prefix(index, prefix, status_of(prefix, ask(addresses[0], normalize(prefix.rstrip("-")))))
        for index, addresses in sorted(indexes.items())
        for prefix in sorted(namespaces.prefixes)
    )


def status_of(prefix: str, answer: Answer) -> Status:
    """What an answer about the project that a prefix is named after says of the prefix."""
    if answer.presence is Presence.UNAVAILABLE:
        return Status.SILENT
    if answer.presence is Presence.ABSENT:
        return Status.ABSENT
    if not answer.tells:
        return Status.UNSAID
    found = answer.reservation
    if found is None or not prefix.startswith(f"{found.prefix}-"):
        return Status.FREE
    if not found.authorized:
        return Status.FOREIGN
    return Status.OPEN if found.open else Status.RESERVED

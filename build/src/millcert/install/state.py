"""What this machine remembers: the newest index seen, who signs each project, and what was verified.

The ratchet turns one way. An attested project stays attested, by as many builders, by identities that were seen
first or accepted by name; an index never gets older. Damaged state is an error, since forgetting is an attack.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from millcert.attest.strictjson import NotStrictError, parse
from millcert.files import write_atomically
from millcert.install.errors import RatchetError, StaleIndexError, StateDamagedError
from millcert.model import Digest
from millcert.names import NormalizedName
from millcert.store import Store

__all__ = ["Sighting", "State", "default_state"]

_MOST = 64 << 20
_SKEW = timedelta(minutes=10)


@dataclass(frozen=True)
class Sighting:
    """Who attested a project: (issuer, identity) of each builder, and how many distinct ones counted."""

    identities: tuple[tuple[str, str], ...]
    builders: int

    def as_dict(self) -> dict[str, Any]:
        """The sighting as the state file holds it."""
        return {"identities": [list(one) for one in self.identities], "builders": self.builders}


def default_state(environ: Mapping[str, str]) -> Path:
    """Where state lives: ``MILLCERT_STATE``, else the user's state folder."""
    if chosen := environ.get("MILLCERT_STATE"):
        return Path(chosen).absolute()
    base = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".local" / "state")
    return Path(base) / "millcert"


class State:
    """A folder of state, made on first use and readable by its user only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for path in (folder, folder / "summaries"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.store = Store(folder / "store")

    def cache(self, anchor: Digest) -> Path:
        """Where the TUF metadata of the index behind an anchor is kept."""
        return self.folder / "tuf" / anchor[:32]

    def see_index(self, anchor: Digest, version: int, now: datetime) -> None:
        """Remember an index's version; StaleIndexError where a newer one, or a later time, was seen before."""
        with self._changing() as document:
            known = document["indexes"].get(anchor, {"version": 0, "seen": "1970-01-01T00:00:00+00:00"})
            seen = datetime.fromisoformat(known["seen"])
            if version < known["version"]:
                raise StaleIndexError(
                    "the index is older than what was seen before", expected=f"version {known['version']} or later",
                    found=f"version {version}", fix="ask another mirror; an index never gets older by itself",
                )  # fmt: skip
            if now + _SKEW < seen:
                raise StaleIndexError(
                    "the clock went back since this index was seen", seen=seen, now=now, fix="set the clock"
                )
            later = max(now, seen).astimezone(UTC).isoformat()
            document["indexes"][anchor] = {"version": version, "seen": later}

    def check_project(self, name: NormalizedName, found: Sighting, accepted: Collection[str] = ()) -> None:
        """RatchetError where a project lost a builder, or is signed by somebody new who was not accepted by name."""
        known = self._read()["projects"].get(name)
        if known is None:
            return
        first = {(issuer, identity) for issuer, identity in known["identities"]}
        if strangers := [one for one in found.identities if one not in first and one[1] not in accepted]:
            raise RatchetError(
                "the project is signed by somebody who did not sign it before", project=name,
                expected="; ".join(sorted(identity for _, identity in first)), found=strangers[0][1],
                fix="ask the project; if the change is meant, accept it once: --accept-identity NAME",
            )  # fmt: skip
        if found.builders < known["builders"] and not accepted:
            raise RatchetError(
                "fewer builders attest the project than before", project=name,
                expected=known["builders"], found=found.builders,
                fix="wait for the other builders; if one is gone for good, accept a remaining one: --accept-identity",
            )  # fmt: skip

    def see_project(self, name: NormalizedName, found: Sighting, accepted: Collection[str] = ()) -> None:
        """Remember who attests a project."""
        with self._changing() as document:
            known = document["projects"].get(name, {"identities": [], "builders": 0})
            identities = {(issuer, identity) for issuer, identity in known["identities"]} | set(found.identities)
            builders = found.builders if accepted else max(found.builders, known["builders"])
            document["projects"][name] = Sighting(tuple(sorted(identities)), builders).as_dict()

    def keep_summary(self, digest: Digest, summary: bytes, evidence: bytes) -> Path:
        """Keep a verification summary and the chain of evidence behind it; the summary's path."""
        path = self.folder / "summaries" / f"{digest}.vsa.json"
        write_atomically(path.with_name(f"{digest}.evidence.json"), evidence)
        write_atomically(path, summary)
        return path

    def summaries(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Every summary with its evidence."""
        for path in sorted((self.folder / "summaries").glob("*.vsa.json")):
            evidence = path.with_name(path.name.replace(".vsa.", ".evidence."))
            yield _parse(path), _parse(evidence)

    def _read(self) -> dict[str, Any]:
        path = self.folder / "ratchet.json"
        if not path.exists():
            return {"ratchet": 1, "indexes": {}, "projects": {}}
        document = _parse(path)
        if document.get("ratchet") != 1 or not _well_formed(document):
            raise _damaged(path, "not what millcert writes")
        return document

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            document = self._read()
            before = json.dumps(document)
            yield document
            if json.dumps(document) != before:
                write_atomically(
                    self.folder / "ratchet.json", (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
                )


def _well_formed(document: Mapping[str, Any]) -> bool:
    try:
        for known in document["indexes"].values():
            datetime.fromisoformat(known["seen"]).astimezone(UTC)
            if not isinstance(known["version"], int):
                return False
        return all(_is_sighting(known) for known in document["projects"].values())
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def _is_sighting(known: Mapping[str, Any]) -> bool:
    pairs: Sequence[Sequence[object]] = known["identities"]
    strings = all(len(pair) == 2 and all(isinstance(one, str) for one in pair) for pair in pairs)
    return strings and isinstance(known["builders"], int)


def _parse(path: Path) -> dict[str, Any]:
    try:
        document = parse(path.read_bytes(), limit=_MOST)
    except (OSError, NotStrictError) as error:
        raise _damaged(path, error) from error
    if not isinstance(document, dict):
        raise _damaged(path, "not an object")
    return document


def _damaged(path: Path, reason: object) -> StateDamagedError:
    return StateDamagedError(
        "what this machine remembers is damaged", file=path, reason=reason,
        fix="find out who changed it; removing the file forgets whom you trusted, and starts anew",
    )  # fmt: skip

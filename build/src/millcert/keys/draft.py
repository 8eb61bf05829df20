"""A draft: metadata that waits for signatures, as one file that can travel between people and machines.

A signer needs nothing but the draft and a key: the draft carries, for each role, the keys and thresholds that
will be asked for. It is not trusted for that: whoever puts a draft into force checks it against the index.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import Key, Signature, Signer
from tuf.api.metadata import Metadata
from tuf.api.serialization import DeserializationError

from millcert.errors import MillcertError
from millcert.files import write_atomically
from millcert.keys.authority import Role
from millcert.keys.errors import CeremonyError, UnsignedError

__all__ = ["Draft", "read_draft", "write_draft"]

_FORMAT = "millcert-draft/1"
_LARGEST = 64 << 20
AnyMetadata = Metadata[Any]


@dataclass
class Draft:
    """New metadata by role, the versions it replaces, and who must sign it.

    ``signers`` holds one or two roles each: a new root must satisfy its predecessor and itself.
    """

    metadata: dict[str, AnyMetadata]
    base: dict[str, int]
    signers: dict[str, tuple[Role, ...]]

    def sign(self, signers: Iterable[Signer]) -> list[str]:
        """Sign every document that a key is asked for; returns the roles that were signed."""
        signed = []
        for signer in signers:
            for name, roles in self.signers.items():
                if any(signer.public_key.keyid == key.keyid for role in roles for key in role.keys):
                    document = self.metadata[name]
                    signature = signer.sign(document.signed_bytes)
                    document.signatures[signature.keyid] = signature
                    signed.append(name)
        return sorted(set(signed))

    def merge(self, other: Draft) -> None:
        """Take over another copy's signatures; CeremonyError if it is not a copy, or a signature does not verify."""
        if other.metadata.keys() != self.metadata.keys():
            raise CeremonyError("not copies of one draft", first=_names(self.metadata), second=_names(other.metadata))
        for name, document in other.metadata.items():
            mine = self.metadata[name]
            if mine.signed_bytes != document.signed_bytes:
                raise CeremonyError("the copies of the draft differ in what is signed", role=name)
            for signature in document.signatures.values():
                if not self._verifies(name, signature):
                    raise CeremonyError("a signature that does not verify", role=name, key=signature.keyid)
                mine.signatures[signature.keyid] = signature

    def missing(self) -> dict[str, int]:
        """How many signatures each role still needs; empty when the draft can be put into force."""
        lacking = {}
        for name, roles in self.signers.items():
            good = {one.keyid for one in self.metadata[name].signatures.values() if self._verifies(name, one)}
            worst = max(role.threshold - len(good & {key.keyid for key in role.keys}) for role in roles)
            if worst > 0:
                lacking[name] = worst
        return lacking

    def check_complete(self) -> None:
        """UnsignedError that says which roles lack how many signatures, and whose could be given."""
        if not (lacking := self.missing()):
            return
        name = next(iter(lacking))
        given = self.metadata[name].signatures
        could = {_label(key) for role in self.signers[name] for key in role.keys if key.keyid not in given}
        raise UnsignedError(
            "the draft lacks signatures", missing=", ".join(f"{role}: {count}" for role, count in lacking.items()),
            could_sign=", ".join(sorted(could)), fix="run `millcert keys sign` with one of these keys, then try again",
        )  # fmt: skip

    def _verifies(self, name: str, signature: Signature) -> bool:
        payload = self.metadata[name].signed_bytes
        for key in (key for role in self.signers[name] for key in role.keys if key.keyid == signature.keyid):
            try:
                key.verify_signature(signature, payload)
                return True
            except (UnverifiedSignatureError, VerificationError):
                return False
        return False


def read_draft(path: Path) -> Draft:
    """A draft from its file; CeremonyError where the file is not one."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("too large")
        fields = json.loads(path.read_bytes())
        if fields["format"] != _FORMAT:
            raise ValueError(f"format {fields['format']!r}")
        metadata: dict[str, AnyMetadata] = {
            str(name): Metadata.from_dict(document) for name, document in fields["metadata"].items()
        }
        signers = {str(name): tuple(_role(role) for role in roles) for name, roles in fields["signers"].items()}
        base = {str(name): int(version) for name, version in fields["base"].items()}
        if not metadata.keys() == signers.keys() == base.keys():
            raise ValueError("roles without signers, or without a base version")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, DeserializationError, MillcertError) as error:
        raise CeremonyError("not a draft", file=path, reason=error) from error
    return Draft(metadata, base, signers)


def write_draft(draft: Draft, path: Path) -> None:
    """Write a draft whole or not at all."""
    fields = {
        "format": _FORMAT,
        "base": draft.base,
        "metadata": {name: document.to_dict() for name, document in draft.metadata.items()},
        "signers": {name: [_role_fields(role) for role in roles] for name, roles in draft.signers.items()},
    }
    write_atomically(path, json.dumps(fields, indent=1, sort_keys=True).encode() + b"\n")


def _role(fields: Mapping[str, Any]) -> Role:
    keys = tuple(Key.from_dict(str(keyid), dict(key)) for keyid, key in fields["keys"].items())
    return Role(keys, int(fields["threshold"]))


def _role_fields(role: Role) -> dict[str, Any]:
    return {"threshold": role.threshold, "keys": {key.keyid: key.to_dict() for key in role.keys}}


def _label(key: Key) -> str:
    name = key.unrecognized_fields.get("x-millcert-name", "")
    return f"{name} ({key.keyid[:12]})" if name else str(key.keyid)


def _names(metadata: Mapping[str, AnyMetadata]) -> str:
    return ", ".join(sorted(metadata))

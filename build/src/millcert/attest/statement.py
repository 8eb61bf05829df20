"""In-toto statements (v1) with SLSA provenance (v1): written in one canonical form, read as hostile.

Specifications: in-toto attestation framework, spec/v1/statement.md; SLSA v1.1, provenance.
A statement holds no clock: the same derivation gives the same statement, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from millcert.attest.errors import StatementError, printable
from millcert.attest.strictjson import NotStrictError, parse
from millcert.model import Digest, canonical_json

__all__ = [
    "MAX_STATEMENT",
    "PROVENANCE",
    "STATEMENT",
    "BuildDefinition",
    "Dependency",
    "Statement",
    "Subject",
    "parse_statement",
    "provenance",
]

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
MAX_STATEMENT = 4 << 20  # bytes
_MOST_SUBJECTS = 256
_MOST_DEPENDENCIES = 1 << 16

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST_VALUE = re.compile(r"[0-9a-f]{32,128}")
_DIGEST_NAME = re.compile(r"[A-Za-z0-9_]{2,32}")


@dataclass(frozen=True, order=True)
class Subject:
    """A file that a statement is about: its name without a folder, and its sha256."""

    name: str
    digest: Digest


@dataclass(frozen=True)
class Dependency:
    """Something the build read (SLSA ResourceDescriptor): where it is named, and its digests by algorithm."""

    uri: str
    digest: Mapping[str, str]
    name: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The descriptor as JSON holds it."""
        fields: dict[str, Any] = {"uri": self.uri, "digest": dict(self.digest)}
        return fields | {"name": self.name} if self.name else fields


@dataclass(frozen=True)
class BuildDefinition:
    """How the subjects were made: SLSA's buildDefinition and runDetails, without times.

    ``external_parameters`` are what a person chose (source, variant), ``internal_parameters`` what the builder
    fixed (the derivation), ``invocation_id`` names the build reproducibly: the derivation's key.
    """

    build_type: str
    builder_id: str
    external_parameters: Mapping[str, Any]
    internal_parameters: Mapping[str, Any] = field(default_factory=dict)
    dependencies: Sequence[Dependency] = ()
    builder_version: Mapping[str, str] = field(default_factory=dict)
    invocation_id: str = ""

    @property
    def dirty(self) -> bool:
        """Whether any parameter says that the source tree had uncommitted changes."""
        return _says_dirty(self.external_parameters) or _says_dirty(self.internal_parameters)

    @property
    def commits(self) -> frozenset[str]:
        """The git commits among the dependencies."""
        return frozenset(one.digest["gitCommit"] for one in self.dependencies if "gitCommit" in one.digest)


@dataclass(frozen=True)
class Statement:
    """A parsed statement; ``build`` is there when the predicate is SLSA provenance."""

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, Any]
    build: BuildDefinition | None


def provenance(subjects: Sequence[Subject], build: BuildDefinition) -> bytes:
    """The unsigned statement as canonical JSON; the order of subjects and dependencies does not matter.

    Raises StatementError where the result would be one that ``parse_statement`` refuses.
    """
    definition: dict[str, Any] = {
        "buildType": build.build_type,
        "externalParameters": dict(build.external_parameters),
        "internalParameters": dict(build.internal_parameters),
        "resolvedDependencies": [
            one.as_dict() for one in sorted(build.dependencies, key=lambda one: (one.uri, one.name))
        ],
    }
    builder: dict[str, Any] = {"id": build.builder_id}
    if build.builder_version:
        builder["version"] = dict(build.builder_version)
    run: dict[str, Any] = {"builder": builder}
    if build.invocation_id:
        run["metadata"] = {"invocationId": build.invocation_id}
    data = canonical_json(
        {
            "_type": STATEMENT,
            "subject": [{"name": one.name, "digest": {"sha256": one.digest}} for one in sorted(subjects)],
            "predicateType": PROVENANCE,
            "predicate": {"buildDefinition": definition, "runDetails": run},
        }
    )
    parse_statement(data)
    return data


def parse_statement(data: bytes) -> Statement:
    """A statement from bytes nobody vouches for; StatementError says what is wrong and where.

    Unknown fields are ignored, as the in-toto specification asks; everything millcert relies on is checked.
    """
    try:
        document = _mapping(parse(data, limit=MAX_STATEMENT), "statement")
    except NotStrictError as error:
        raise StatementError("the statement is not strict JSON", reason=printable(error)) from None
    if document.get("_type") != STATEMENT:
        raise StatementError("not an in-toto statement", expected=STATEMENT, found=printable(document.get("_type")))
    predicate_type = _text(document, "predicateType", "statement")
    predicate = _mapping(document.get("predicate") or {}, "predicate")  # optional in the specification
    build = _build(predicate) if predicate_type == PROVENANCE else None
    return Statement(_subjects(document), predicate_type, predicate, build)


def _subjects(document: Mapping[str, Any]) -> tuple[Subject, ...]:
    entries = _sequence(document.get("subject"), "subject", _MOST_SUBJECTS)
    subjects = tuple(_subject(_mapping(entry, f"subject[{index}]"), index) for index, entry in enumerate(entries))
    if not subjects:
        raise StatementError("the statement has no subject")
    for kind, values in (("name", [one.name for one in subjects]), ("digest", [one.digest for one in subjects])):
        if len(set(values)) != len(values):
            raise StatementError(f"two subjects of the statement have the same {kind}", subjects=len(subjects))
    return subjects


def _subject(fields: Mapping[str, Any], index: int) -> Subject:
    name = _text(fields, "name", f"subject[{index}]")
    if "/" in name or "\\" in name or name in (".", "..") or not name.isprintable():
        raise StatementError("a subject's name is not a plain file name", found=printable(name))
    sha256 = _mapping(fields.get("digest"), f"subject[{index}].digest").get("sha256")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise StatementError(
            "a subject's sha256 is not 64 lower-case hexadecimal digits", subject=name, found=printable(sha256)
        )
    return Subject(name, Digest(sha256))


def _build(predicate: Mapping[str, Any]) -> BuildDefinition:
    definition = _mapping(predicate.get("buildDefinition"), "buildDefinition")
    run = _mapping(predicate.get("runDetails"), "runDetails")
    builder = _mapping(run.get("builder"), "runDetails.builder")
    entries = _sequence(definition.get("resolvedDependencies", []), "resolvedDependencies", _MOST_DEPENDENCIES)
    invocation = _mapping(run.get("metadata", {}), "runDetails.metadata").get("invocationId", "")
    version = _mapping(builder.get("version", {}), "runDetails.builder.version")
    return BuildDefinition(
        build_type=_text(definition, "buildType", "buildDefinition"),
        builder_id=_text(builder, "id", "runDetails.builder"),
        external_parameters=_mapping(definition.get("externalParameters"), "externalParameters"),
        internal_parameters=_mapping(definition.get("internalParameters", {}), "internalParameters"),
        dependencies=tuple(_dependency(entry, index) for index, entry in enumerate(entries)),
        builder_version={key: _text(version, key, "runDetails.builder.version") for key in version},
        invocation_id=str(invocation),
    )


def _dependency(entry: object, index: int) -> Dependency:
    where = f"resolvedDependencies[{index}]"
    fields = _mapping(entry, where)
    digest = _mapping(fields.get("digest"), f"{where}.digest")
    for name, value in digest.items():
        if not _DIGEST_NAME.fullmatch(name) or not isinstance(value, str) or not _DIGEST_VALUE.fullmatch(value):
            raise StatementError("not a digest", where=where, found=printable(f"{name}: {value}"))
    if not digest:
        raise StatementError("a dependency has no digest", where=where)
    name = _text(fields, "name", where) if "name" in fields else ""
    return Dependency(_text(fields, "uri", where), digest, name)


def _says_dirty(value: object) -> bool:
    if isinstance(value, Mapping):
        return any((key == "dirty" and bool(item)) or _says_dirty(item) for key, item in value.items())
    return isinstance(value, list | tuple) and any(_says_dirty(item) for item in value)


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StatementError(f"{where} is not a JSON object", found=type(value).__name__)
    return value


def _sequence(value: object, where: str, most: int) -> list[Any]:
    if not isinstance(value, list):
        raise StatementError(f"{where} is not a JSON array", found=type(value).__name__)
    if len(value) > most:
        raise StatementError(f"{where} is too long", found=len(value), most=most)
    return value


def _text(fields: Mapping[str, Any], key: str, where: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not value:
        raise StatementError(f"{where}.{key} is not a text", found=type(value).__name__)
    return value

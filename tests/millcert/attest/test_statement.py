"""Statements: one byte form going out, nothing believed coming in."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.sigstore.scene import COMMIT, definition

from millcert.attest import BuildDefinition, Dependency, Subject, parse_statement, provenance
from millcert.attest.errors import StatementError
from millcert.model import Digest

_SUBJECT = Subject("a.whl", Digest("1" * 64))


def test_the_canonical_form_is_what_the_specifications_say() -> None:
    build = BuildDefinition(
        "https://t", "https://b", {"variant": "cpu"}, {"key": "k"}, [Dependency("pkg:x", {"sha256": "2" * 64}, "x")],
        {"millcert": "1"}, "inv",
    )  # fmt: skip
    expected = (
        '{"_type":"https://in-toto.io/Statement/v1","predicate":{"buildDefinition":{"buildType":"https://t",'
        '"externalParameters":{"variant":"cpu"},"internalParameters":{"key":"k"},"resolvedDependencies":'
        '[{"digest":{"sha256":"' + "2" * 64 + '"},"name":"x","uri":"pkg:x"}]},"runDetails":{"builder":'
        '{"id":"https://b","version":{"millcert":"1"}},"metadata":{"invocationId":"inv"}}},'
        '"predicateType":"https://slsa.dev/provenance/v1","subject":[{"digest":{"sha256":"' + "1" * 64 + '"},'
        '"name":"a.whl"}]}'
    )
    assert provenance([_SUBJECT], build).decode() == expected


def test_the_frameworks_own_schemas_read_it() -> None:
    """Protobuf's JSON reader refuses unknown fields and wrong types."""
    schemas = "in_toto_attestation.v1.statement_pb2", "in_toto_attestation.predicates.provenance.v1.provenance_pb2"
    in_toto, slsa = map(importlib.import_module, schemas)
    json_format = importlib.import_module("google.protobuf.json_format")
    data = provenance([_SUBJECT], definition())
    statement = json_format.Parse(data, in_toto.Statement())
    assert (statement.subject[0].name, dict(statement.subject[0].digest)) == ("a.whl", {"sha256": "1" * 64})
    predicate = json_format.ParseDict(json.loads(data)["predicate"], slsa.Provenance())
    assert predicate.run_details.builder.id == definition().builder_id
    assert predicate.build_definition.resolved_dependencies[0].digest["gitCommit"] == COMMIT


@settings(max_examples=30)
@given(st.permutations(range(4)), st.permutations(range(5)))
def test_the_order_of_subjects_and_dependencies_does_not_matter(subjects: list[int], needs: list[int]) -> None:
    def made(order: list[int], needed: list[int]) -> bytes:
        names = [Subject(f"{n}.whl", Digest(f"{n:064x}")) for n in order]
        return provenance(names, definition(dependencies=[Dependency(f"u:{n}", {"sha256": "0" * 64}) for n in needed]))

    assert made(subjects, needs) == made(sorted(subjects), sorted(needs))


_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXT,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(_TEXT, v, max_size=3),
)


@settings(max_examples=40)
@given(st.dictionaries(_TEXT, _VALUES, max_size=4), _TEXT, _TEXT)
def test_what_is_written_is_what_is_read(external: dict[str, Any], build_type: str, builder_id: str) -> None:
    build = definition(external_parameters=external, build_type=build_type, builder_id=builder_id)
    statement = parse_statement(provenance([_SUBJECT], build))
    assert statement.subjects == (_SUBJECT,)
    assert statement.build is not None
    assert statement.build.external_parameters == external
    assert (statement.build.build_type, statement.build.builder_id) == (build_type, builder_id)
    assert provenance(statement.subjects, statement.build) == provenance([_SUBJECT], build)


def _changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(provenance([_SUBJECT], definition()))
    change(document)
    return json.dumps(document).encode()


def _subject(document: dict[str, Any], **fields: object) -> None:
    document["subject"][0].update(fields)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda d: d.update(subject=[]),
        lambda d: d.update(subject={}),
        lambda d: d.update(subject=d["subject"] * 2),
        lambda d: d.update(subject=[*d["subject"], {"name": "a.whl", "digest": {"sha256": "3" * 64}}]),
        lambda d: d.update(subject=[*d["subject"], {"name": "b.whl", "digest": {"sha256": "1" * 64}}]),
        lambda d: _subject(d, name="../a.whl"),
        lambda d: _subject(d, name="dist/a.whl"),
        lambda d: _subject(d, name=""),
        lambda d: _subject(d, name="a\x1b[2K.whl"),
        lambda d: _subject(d, name=7),
        lambda d: _subject(d, digest={"sha256": "A" * 64}),
        lambda d: _subject(d, digest={"sha256": "1" * 63}),
        lambda d: _subject(d, digest={"sha256": "1" * 64 + "\n"}),
        lambda d: _subject(d, digest={"sha512": "1" * 128}),
        lambda d: _subject(d, digest={}),
        lambda d: d.pop("predicateType"),
        lambda d: d.update(predicate=None),
        lambda d: d["predicate"].pop("buildDefinition"),
        lambda d: d["predicate"].pop("runDetails"),
        lambda d: d["predicate"]["runDetails"]["builder"].pop("id"),
        lambda d: d["predicate"]["buildDefinition"].update(externalParameters=[]),
        lambda d: d["predicate"]["buildDefinition"]["resolvedDependencies"].append({"uri": "x"}),
        lambda d: d["predicate"]["buildDefinition"]["resolvedDependencies"].append({"uri": "x", "digest": {}}),
        lambda d: d["predicate"]["buildDefinition"]["resolvedDependencies"].append(
            {"uri": "x", "digest": {"sha256": "z"}}
        ),
        lambda d: d["predicate"]["buildDefinition"].update(resolvedDependencies=[{}] * 70_000),
    ],
)
def test_a_malformed_statement_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(StatementError):
        parse_statement(_changed(change))


@pytest.mark.parametrize(
    ("external", "dirty"),
    [
        ({"dirty": True}, True),
        ({"source": {"dirty": True}}, True),
        ({"sources": [{"dirty": "yes"}]}, True),
        ({"dirty": False}, False),
        ({"variant": "dirty"}, False),
    ],
)
def test_a_dirty_source_is_seen_wherever_it_is_said(external: dict[str, Any], dirty: bool) -> None:
    assert definition(external_parameters=external).dirty is dirty
    assert definition(internal_parameters=external).dirty is dirty


def test_what_would_be_refused_is_not_written() -> None:
    with pytest.raises(StatementError):
        provenance([Subject("a/b.whl", Digest("1" * 64))], definition())
    with pytest.raises(StatementError):
        provenance([], definition())


def test_a_statement_has_a_largest_size() -> None:
    data = provenance([_SUBJECT], definition())
    parse_statement(data + b" " * (3 << 20))
    with pytest.raises(StatementError) as refusal:
        parse_statement(data + b" " * (4 << 20))
    assert "allowed" in refusal.value.evidence["reason"]

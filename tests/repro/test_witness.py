"""A wheel rebuilt from published evidence alone; of two builders the dishonest one is caught."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.repro.conftest import REUSE, Built
from tests.support.hermetic import run_millcert
from tests.support.sigstore import Instance
from tests.support.sigstore.bundle import draft_bundle
from tests.support.sigstore.oidc import workflow_claims
from tests.support.sigstore.scene import IDENTITY

from millcert.attest import BuilderRule, Policy, parse_statement
from millcert.attest.errors import QuorumError, SubjectMismatchError
from millcert.attest.sign import bundle_path
from millcert.attest.trust import read_trusted_root
from millcert.attest.verify import Verifier
from millcert.errors import VerificationError
from millcert.model import canonical_json, digest_of_file
from millcert.rebuild.witness import read_claim

SECOND = "urn:example:builder:second"
WITNESS = "https://github.com/other/witness/.github/workflows/rebuild.yml@refs/heads/main"


def statement_of(wheel: Path) -> Path:
    return wheel.with_name(f"{wheel.name}.provenance.json")


@pytest.fixture(scope="module")
def rebuilt(built: Built, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """What an independent builder writes for the honest wheel."""
    output = tmp_path_factory.mktemp("rebuilt")
    done = run_millcert(
        "rebuild", str(built.wheel), "--repository", str(built.project), "--output", str(output),
        "--builder-id", SECOND, *REUSE, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return output, json.loads(done.stdout)


def test_the_rebuild_is_the_published_wheel_and_says_so_under_its_own_name(
    built: Built, rebuilt: tuple[Path, dict[str, object]]
) -> None:
    output, verdict = rebuilt
    assert verdict["identical"] is True
    assert (output / built.wheel.name).read_bytes() == built.wheel.read_bytes()
    theirs = parse_statement(statement_of(built.wheel).read_bytes())
    ours = parse_statement(statement_of(output / built.wheel.name).read_bytes())
    assert ours.subjects == theirs.subjects
    assert ours.build is not None and theirs.build is not None
    assert ours.build.builder_id == SECOND
    assert replace(ours.build, builder_id=theirs.build.builder_id) == theirs.build


def tampered(wheel: Path, folder: Path) -> Path:
    """The wheel with one more line of Python, and a statement that its builder signs all the same."""
    folder.mkdir()
    copy = folder / wheel.name
    with zipfile.ZipFile(wheel) as before, zipfile.ZipFile(copy, "w") as after:
        for info in before.infolist():
            extra = b"import os\n" if info.filename.endswith("__init__.py") else b""
            after.writestr(info, before.read(info) + extra)
    document = json.loads(statement_of(wheel).read_bytes())
    document["subject"][0]["digest"]["sha256"] = digest_of_file(copy)
    statement_of(copy).write_bytes(canonical_json(document))
    return copy


@pytest.fixture(scope="module")
def instance() -> Instance:
    return Instance("https://sigstore.example")


def verifier(instance: Instance, folder: Path) -> Verifier:
    """A user's: two builders must agree, the project's own workflow and somebody else's."""
    issuer = instance.issuer.url
    rules = (BuilderRule(issuer=issuer, identity=IDENTITY), BuilderRule(issuer=issuer, identity=WITNESS))
    root = folder / "trusted_root.json"
    root.write_bytes(instance.trusted_root_json())
    return Verifier(read_trusted_root(root), Policy(rules, builders=2))


def signed(instance: Instance, statement: Path, bundle: Path, claims: Mapping[str, object]) -> None:
    bundle.write_bytes(draft_bundle(instance, statement.read_bytes(), claims).to_bytes())


FIRST_CLAIMS, WITNESS_CLAIMS = workflow_claims(), workflow_claims("other/witness", workflow="rebuild.yml")


def test_two_honest_builders_are_enough(
    built: Built, rebuilt: tuple[Path, dict[str, object]], instance: Instance, tmp_path: Path
) -> None:
    wheel = tmp_path / built.wheel.name
    shutil.copyfile(built.wheel, wheel)
    signed(instance, statement_of(built.wheel), bundle_path(wheel), FIRST_CLAIMS)
    with pytest.raises(QuorumError):
        verifier(instance, tmp_path).verify(wheel)  # one alone is not enough
    signed(instance, statement_of(rebuilt[0] / wheel.name), bundle_path(wheel, "witness"), WITNESS_CLAIMS)
    assert verifier(instance, tmp_path).verify(wheel).builders == 2


def test_one_dishonest_builder_of_two_is_caught(built: Built, instance: Instance, tmp_path: Path) -> None:
    """The first builder ships altered bytes with a valid signature; alone it is believed, with a witness it is not."""
    published = tampered(built.wheel, tmp_path / "published")
    refused = run_millcert(
        "rebuild", str(published), "--repository", str(built.project), "--output", str(tmp_path / "mine"),
        "--builder-id", SECOND, *REUSE,
    )  # fmt: skip
    assert refused.returncode == 12, refused.stderr
    assert "sample/__init__.py at byte" in refused.stderr
    witness = statement_of(tmp_path / "mine" / built.wheel.name)
    assert parse_statement(witness.read_bytes()).subjects[0].digest == digest_of_file(built.wheel)

    user = verifier(instance, tmp_path)
    signed(instance, statement_of(published), bundle_path(published), FIRST_CLAIMS)
    alone = Verifier(user.root, replace(user.policy, builders=1))
    assert alone.verify(published).builders == 1, "without a witness the dishonest builder is believed"
    with pytest.raises(QuorumError):
        user.verify(published)
    signed(instance, witness, bundle_path(published, "witness"), WITNESS_CLAIMS)
    with pytest.raises((QuorumError, SubjectMismatchError)):
        user.verify(published)


def read(built: Built, tmp_path: Path, **changes: object) -> None:
    """Read the claim of a statement whose parameters were changed."""
    wheel = tmp_path / built.wheel.name
    shutil.copyfile(built.wheel, wheel)
    document = json.loads(statement_of(built.wheel).read_bytes())
    document["predicate"]["buildDefinition"]["externalParameters"].update(changes)
    read_claim(wheel, canonical_json(document))


@pytest.mark.parametrize(
    "changes",
    [
        {"commit": "--upload-pack=touch /tmp/x"}, {"commit": "main"}, {"commit": "a" * 40}, {"variant": "--help"},
        {"variant": None}, {"dirty": True}, {"architecture": 5},
    ],
)  # fmt: skip
def test_a_provenance_that_would_steer_the_rebuild_is_refused(
    built: Built, tmp_path: Path, changes: dict[str, object]
) -> None:
    read(built, tmp_path)  # the control
    with pytest.raises(VerificationError):
        read(built, tmp_path, **changes)


def test_an_input_that_the_commit_does_not_pin_is_refused(built: Built, tmp_path: Path) -> None:
    """The provenance names a compiler of its own; the locks of its commit know nothing of it."""
    wheel = tmp_path / built.wheel.name
    shutil.copyfile(built.wheel, wheel)
    document = json.loads(statement_of(built.wheel).read_bytes())
    dependencies = document["predicate"]["buildDefinition"]["resolvedDependencies"]
    next(one for one in dependencies if one.get("name") == "ziglang")["digest"]["sha256"] = "e" * 64
    statement_of(wheel).write_bytes(canonical_json(document))
    done = run_millcert("rebuild", str(wheel), "--repository", str(built.project), "--output", str(tmp_path / "out"))
    assert done.returncode == 14
    assert "e" * 64 in done.stderr

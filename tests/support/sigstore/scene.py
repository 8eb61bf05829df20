"""A wheel, its statement and a policy, ready to be signed by the test instance and attacked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.sigstore.bundle import BundleDraft, draft_bundle
from tests.support.sigstore.instance import Instance
from tests.support.sigstore.oidc import workflow_claims

from millcert.attest import BuildDefinition, BuilderRule, Dependency, Policy, Subject, provenance
from millcert.attest.sign import PROVENANCE_SUFFIX, bundle_path
from millcert.attest.trust import TrustRoot, read_trusted_root
from millcert.attest.verify import Verdict, Verifier
from millcert.model import digest_of

__all__ = ["BUILDER_ID", "BUILD_TYPE", "COMMIT", "IDENTITY", "WHEEL", "Scene", "definition", "rule"]

WHEEL = "wootz-0.1.0.dev20261123+cpu-cp311-abi3-manylinux_2_17_x86_64.whl"
BUILD_TYPE = "https://example.org/millcert/wheel/v1"
BUILDER_ID = "https://example.org/millcert/hermetic/v1"
COMMIT = "a" * 40
IDENTITY = "https://github.com/example/wootz/.github/workflows/nightly.yml@refs/heads/main"


def definition(**changes: Any) -> BuildDefinition:
    """The build definition of the wheel; ``changes`` are its fields."""
    fields: dict[str, Any] = {
        "build_type": BUILD_TYPE,
        "builder_id": BUILDER_ID,
        "external_parameters": {"source": {"commit": COMMIT, "dirty": False}, "variant": "cpu"},
        "internal_parameters": {"derivation": "d" * 64},
        "dependencies": [
            Dependency("git+https://example.org/wootz", {"gitCommit": COMMIT}, "source"),
            Dependency("pkg:pypi/ziglang@0.17.1", {"sha256": "b" * 64}, "ziglang"),
        ],
        "invocation_id": "d" * 64,
    }
    return BuildDefinition(**{**fields, **changes})


def rule(instance: Instance, **changes: Any) -> BuilderRule:
    """The builder whom the scene's policy names: the nightly workflow of the scene's repository."""
    fields: dict[str, Any] = {
        "name": "nightly",
        "identity": IDENTITY,
        "issuer": instance.issuer.url,
        "build_type": BUILD_TYPE,
        "builder_id": BUILDER_ID,
        "same_commit": True,
        "certificate": {
            "source-repository-identifier": ("1001",),
            "source-repository-owner-identifier": ("2002",),
            "source-repository-ref": ("refs/heads/main",),
            "build-config-digest": (COMMIT,),
            "runner-environment": ("github-hosted",),
            "build-trigger": ("schedule", "workflow_dispatch"),
        },
    }
    return BuilderRule(**{**fields, **changes})


class Scene:
    """A folder with one wheel and its unsigned statement; the policy and the root accept the honest builder."""

    def __init__(self, folder: Path, instance: Instance, *, name: str = WHEEL) -> None:
        self.instance = instance
        self.wheel = folder / name
        self.build(b"a wheel's bytes, " * 64 + name.encode())
        self.root_path = folder / "trusted_root.json"
        self.root_path.write_bytes(instance.trusted_root_json())
        self.policy = Policy((rule(instance),))

    @property
    def root(self) -> TrustRoot:
        """The instance's trusted root, as read from its file."""
        return read_trusted_root(self.root_path)

    def change_root(self, change: Any) -> None:
        """Apply a function to the trusted root's JSON, in place."""
        document = json.loads(self.root_path.read_bytes())
        change(document)
        self.root_path.write_text(json.dumps(document))

    def build(self, data: bytes) -> None:
        """Make the wheel of these bytes, with an unsigned statement about them."""
        self.wheel.write_bytes(data)
        self.subject = Subject(self.wheel.name, digest_of(data))
        self.statement = self.state()

    def state(self, **changes: Any) -> bytes:
        """Write the unsigned statement beside the wheel, and return it."""
        statement = provenance([self.subject], definition(**changes))
        self.wheel.with_name(self.wheel.name + PROVENANCE_SUFFIX).write_bytes(statement)
        return statement

    def draft(
        self, claims: Mapping[str, object] | None = None, *, statement: bytes | None = None, **how: Any
    ) -> BundleDraft:
        """A bundle by the honest builder, unless told otherwise."""
        return draft_bundle(self.instance, statement or self.statement, claims or workflow_claims(), **how)

    def place(self, bundle: BundleDraft | Mapping[str, Any] | bytes, builder: str = "") -> Path:
        """Write a bundle beside the wheel."""
        if isinstance(bundle, BundleDraft):
            bundle = bundle.to_bytes()
        path = bundle_path(self.wheel, builder)
        path.write_bytes(bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode())
        return path

    def verify(self, policy: Policy | None = None) -> Verdict:
        """Verify the wheel with the bundles beside it; raises what refuses it."""
        return Verifier(self.root, policy or self.policy).verify(self.wheel)

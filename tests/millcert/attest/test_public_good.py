"""A bundle that the public-good instance made for somebody, verified with the root we ship.

``data/`` holds the release provenance of pypi_attestations 0.0.19, as its workflow had it signed in December
2024: the one thing here that no test instance made.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from millcert.attest import BuilderRule, Policy
from millcert.attest.errors import IdentityRefusedError, ProvenanceRefusedError, SignatureError, SubjectMismatchError
from millcert.attest.trust import public_good
from millcert.attest.verify import Attestation, Verifier
from millcert.errors import VerificationError
from millcert.model import Digest

_NAME = "pypi_attestations-0.0.19.tar.gz"
_DIGEST = Digest("9bb1add04b1b4e182be6b0b80931593f7a291eb49d69b4fd728a5d4cbcdc4bd3")
_BUNDLE = (Path(__file__).parent / "data" / f"{_NAME}.sigstore.json").read_bytes()
_WORKFLOW = "https://github.com/trailofbits/pypi-attestations/.github/workflows/release.yml@refs/tags/v0.0.19"
_RULE = BuilderRule(
    issuer="https://token.actions.githubusercontent.com",
    identity=_WORKFLOW,
    build_type="https://actions.github.io/buildtypes/workflow/v1",
    builder_id=_WORKFLOW,
    same_commit=True,
    certificate={
        "source-repository-uri": ("https://github.com/trailofbits/pypi-attestations",),
        "source-repository-identifier": ("772247423",),
        "source-repository-owner-identifier": ("2314423",),
        "source-repository-ref": ("refs/tags/v0.0.19",),
        "source-repository-digest": ("08802efe1f8e5fec4ad842d6b8ce97656092ee72",),
        "runner-environment": ("github-hosted",),
        "build-trigger": ("release",),
    },
)


def _verify(rule: BuilderRule = _RULE, *, bundle: bytes = _BUNDLE, digest: Digest = _DIGEST) -> Attestation:
    return Verifier(public_good(), Policy((rule,))).attestation(bundle, _NAME, digest)


def test_it_is_accepted() -> None:
    assert _verify().claimed.log_index == 153454647


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        (replace(_RULE, issuer="https://accounts.google.com"), IdentityRefusedError),
        (replace(_RULE, identity=_WORKFLOW.replace("v0.0.19", "v0.0.18")), IdentityRefusedError),
        (replace(_RULE, certificate={"source-repository-identifier": ("1",)}), IdentityRefusedError),
        (replace(_RULE, builder_id="https://example.org"), ProvenanceRefusedError),
    ],
)
def test_another_policy_refuses_it(rule: BuilderRule, error: type[VerificationError]) -> None:
    with pytest.raises(error):
        _verify(rule)


def test_it_is_about_no_other_bytes() -> None:
    with pytest.raises(SubjectMismatchError):
        _verify(digest=Digest("0" * 64))


def test_another_statement_is_not_signed_by_it() -> None:
    bundle = json.loads(_BUNDLE)
    payload = bundle["dsseEnvelope"]["payload"]
    bundle["dsseEnvelope"]["payload"] = payload[:-8] + ("A" * 4) + payload[-4:]
    with pytest.raises(SignatureError):
        _verify(bundle=json.dumps(bundle).encode())

"""The verification summary of an installation: a SLSA VSA, so that other tools can rely on what was checked here.

Specification: SLSA v1.1, verification summary attestation. It is not signed: it is a record of this machine's, and is
believed as far as the folder that it lies in.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from millcert import __version__
from millcert.attest.statement import STATEMENT
from millcert.model import Digest

__all__ = ["VSA", "verification_summary"]

VSA = "https://slsa.dev/verification_summary/v1"
_VERIFIER = "urn:millcert:verifier:install:v1"


def verification_summary(
    filename: str, digest: Digest, *, resource: str, policy: Digest, inputs: Mapping[str, Digest], now: datetime
) -> dict[str, Any]:
    """The statement about one wheel; ``inputs`` are the attestations that were accepted, by where they were read."""
    return {
        "_type": STATEMENT,
        "subject": [{"name": filename, "digest": {"sha256": digest}}],
        "predicateType": VSA,
        "predicate": {
            "verifier": {"id": _VERIFIER, "version": {"millcert": __version__}},
            "timeVerified": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "resourceUri": resource,
            "policy": {"uri": "urn:millcert:policy", "digest": {"sha256": policy}},
            "inputAttestations": [{"uri": uri, "digest": {"sha256": found}} for uri, found in sorted(inputs.items())],
            "verificationResult": "PASSED",
            # a level is a claim about the builder's platform, which a policy names but does not grade
            "verifiedLevels": ["SLSA_BUILD_LEVEL_UNEVALUATED"],
            "slsaVersion": "1.1",
        },
    }

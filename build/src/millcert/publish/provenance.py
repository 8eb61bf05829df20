"""PEP 740 provenance objects, made from Sigstore bundles where that format can hold what a verifier needs.

It can hold a certificate, log entries and one DSSE envelope. It cannot hold RFC 3161 time-stamps, so a bundle
whose time rests on one (any from Rekor v2) is published as a bundle only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from millcert.model import canonical_json
from millcert.publish.artifact import Builder

__all__ = ["provenance_object"]

_GITHUB = "https://token.actions.githubusercontent.com"
_WORKFLOW = re.compile(r"https://github\.com/(?P<repository>[^/]+/[^/]+)/\.github/workflows/(?P<workflow>[^@/]+)@.+")


def provenance_object(bundles: Mapping[str, bytes], builders: Mapping[str, Builder]) -> bytes | None:
    """The provenance object of a file, one attestation bundle for each builder; None where none can be held."""
    held = [
        {"publisher": _publisher(builder), "attestations": [attestation]}
        for name, builder in sorted(builders.items())
        if (attestation := _attestation(bundles[name])) is not None
    ]
    return canonical_json({"version": 1, "attestation_bundles": held}) if held else None


def _attestation(bundle: bytes) -> dict[str, Any] | None:
    """One bundle that was verified as an attestation object, or None."""
    fields = json.loads(bundle)
    material, envelope = fields.get("verificationMaterial", {}), fields.get("dsseEnvelope")
    entries = material.get("tlogEntries", [])
    if not envelope or "certificate" not in material or not entries:
        return None
    if len(envelope["signatures"]) != 1 or any(not entry.get("inclusionPromise") for entry in entries):
        return None
    return {
        "version": 1,
        "verification_material": {
            "certificate": material["certificate"]["rawBytes"], "transparency_entries": entries,
        },
        "envelope": {"statement": envelope["payload"], "signature": envelope["signatures"][0]["sig"]},
    }  # fmt: skip


def _publisher(builder: Builder) -> dict[str, Any]:
    if builder.issuer == _GITHUB and (match := _WORKFLOW.fullmatch(builder.subject)):
        return {"kind": "GitHub", "repository": match["repository"], "workflow": match["workflow"], "environment": None}
    return {"kind": "Sigstore", "claims": {"issuer": builder.issuer, "subject": builder.subject}}

"""A signing client made by hand: a bundle as a plain dictionary, so that a test can change exactly one thing.

It shares no code with the client under test. Left alone, its bundles verify; ``BundleDraft``'s fields are
what an attacker would replace before the parts are put together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.sigstore.instance import Instance
from tests.support.sigstore.rekor import b64
from tests.support.sigstore.tsa import timestamp_request
from tests.support.sigstore.x509 import der

__all__ = ["BundleDraft", "draft_bundle"]

_IN_TOTO = "application/vnd.in-toto+json"
_V03 = "application/vnd.dev.sigstore.bundle.v0.3+json"


@dataclass
class BundleDraft:
    """The parts of a bundle: certificate, DSSE envelope, log entry, time-stamps."""

    certificate: x509.Certificate
    envelope: dict[str, Any]
    entry: dict[str, Any]
    timestamps: list[bytes]
    media_type: str = _V03

    def as_dict(self) -> dict[str, Any]:
        """The bundle as JSON holds it (protobuf-specs, sigstore_bundle.proto)."""
        return {
            "mediaType": self.media_type,
            "verificationMaterial": {
                "certificate": {"rawBytes": b64(der(self.certificate))},
                "tlogEntries": [self.entry],
                "timestampVerificationData": {
                    "rfc3161Timestamps": [{"signedTimestamp": b64(stamp)} for stamp in self.timestamps]
                },
            },
            "dsseEnvelope": self.envelope,
        }

    def to_bytes(self) -> bytes:
        """The bundle as a file holds it."""
        return json.dumps(self.as_dict()).encode()


def draft_bundle(
    instance: Instance,
    statement: bytes,
    claims: Mapping[str, object],
    *,
    rekor: int = 1,
    stamped: bool = True,
    stamp_time: datetime | None = None,
    logged_time: datetime | None = None,
    payload_type: str = _IN_TOTO,
    **certificate: Any,
) -> BundleDraft:
    """Sign a statement with every service of an instance; ``certificate`` goes to ``Fulcio.issue``."""
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = instance.fulcio.issue(claims, key.public_key(), **certificate)
    kind = payload_type.encode()
    pre_authentication = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(statement), statement)
    signature = key.sign(pre_authentication, ec.ECDSA(hashes.SHA256()))
    envelope = {"payload": b64(statement), "payloadType": payload_type, "signatures": [{"sig": b64(signature)}]}
    stamps = [instance.tsa.stamp(timestamp_request(signature), time=stamp_time)] if stamped else []
    if rekor == 2:
        entry = _logged_v2(instance, leaf, signature, pre_authentication)
    else:
        entry = _logged_v1(instance, leaf, envelope, logged_time)
    return BundleDraft(leaf, envelope, entry, stamps)


def _logged_v1(
    instance: Instance, leaf: x509.Certificate, envelope: dict[str, Any], time: datetime | None
) -> dict[str, Any]:
    verifier = b64(leaf.public_bytes(serialization.Encoding.PEM))
    content = {"envelope": json.dumps(envelope), "verifiers": [verifier]}
    proposed = {"apiVersion": "0.0.1", "kind": "dsse", "spec": {"proposedContent": content}}
    (answer,) = instance.rekor_v1.add(proposed, time=time).values()
    proof = answer["verification"]["inclusionProof"]
    return {
        "logIndex": str(answer["logIndex"]),
        "logId": {"keyId": b64(bytes.fromhex(answer["logID"]))},
        "kindVersion": {"kind": "dsse", "version": "0.0.1"},
        "integratedTime": str(answer["integratedTime"]),
        "inclusionPromise": {"signedEntryTimestamp": answer["verification"]["signedEntryTimestamp"]},
        "inclusionProof": {
            "logIndex": str(proof["logIndex"]),
            "rootHash": b64(bytes.fromhex(proof["rootHash"])),
            "treeSize": str(proof["treeSize"]),
            "hashes": [b64(bytes.fromhex(node)) for node in proof["hashes"]],
            "checkpoint": {"envelope": proof["checkpoint"]},
        },
        "canonicalizedBody": answer["body"],
    }


def _logged_v2(
    instance: Instance, leaf: x509.Certificate, signature: bytes, pre_authentication: bytes
) -> dict[str, Any]:
    verifier = {"x509Certificate": {"rawBytes": b64(der(leaf))}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
    request = {
        "digest": b64(hashlib.sha256(pre_authentication).digest()),
        "signature": {"content": b64(signature), "verifier": verifier},
    }
    return instance.rekor_v2.add({"hashedRekordRequestV002": request})

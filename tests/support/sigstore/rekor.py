"""The transparency logs: Rekor v1 (ECDSA, promises, integrated time) and Rekor v2 (Ed25519, tiles-style).

Both check the signature of what they are asked to log, append it to a real Merkle tree and answer with an
inclusion proof under a signed checkpoint (C2SP tlog-checkpoint and signed-note).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from tests.support.sigstore.merkle import MerkleTree
from tests.support.sigstore.x509 import spki, spki_digest

__all__ = ["Appended", "RekorError", "RekorV1", "RekorV2", "b64"]


class RekorError(Exception):
    """The entry is refused."""


def b64(data: bytes) -> str:
    """Base64 as text."""
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class Appended:
    """Where an entry landed: its proof and the checkpoint over the tree that holds it."""

    body: bytes
    index: int
    size: int
    root: bytes
    proof: list[bytes]
    checkpoint: str


@dataclass
class RekorV1:
    """The first generation: ``dsse`` and ``hashedrekord`` 0.0.1, with a signed entry timestamp."""

    origin: str
    clock: Callable[[], datetime]
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    tree: MerkleTree = field(default_factory=MerkleTree)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    key_details = "PKIX_ECDSA_P256_SHA_256"

    @property
    def log_id(self) -> bytes:
        """The sha256 of the log's public key."""
        return spki_digest(self.key.public_key())

    @property
    def public_key(self) -> bytes:
        """DER SubjectPublicKeyInfo."""
        return spki(self.key.public_key())

    def sign(self, data: bytes) -> bytes:
        """ECDSA over sha256."""
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))

    def add(self, proposed: Mapping[str, Any], *, time: datetime | None = None) -> dict[str, Any]:
        """Log a proposed entry; the answer of ``POST /api/v1/log/entries``."""
        kinds = {"dsse": _dsse_body, "hashedrekord": _hashedrekord_body}
        if proposed.get("kind") not in kinds or proposed.get("apiVersion") != "0.0.1":
            raise RekorError("only dsse and hashedrekord 0.0.1 are logged")
        body = rfc8785.dumps(kinds[proposed["kind"]](proposed))
        entry = _append(self._lock, self.tree, body, self.origin, f"{self.origin} - 1", self.log_id, self.sign)
        integrated = int((time or self.clock()).timestamp())
        promised: dict[str, Any] = {
            "body": b64(body),
            "integratedTime": integrated,
            "logID": self.log_id.hex(),
            "logIndex": entry.index,
        }
        proof = {
            "logIndex": entry.index, "treeSize": entry.size, "rootHash": entry.root.hex(),
            "hashes": [node.hex() for node in entry.proof], "checkpoint": entry.checkpoint,
        }  # fmt: skip
        promise = b64(self.sign(rfc8785.dumps(promised)))
        verification = {"signedEntryTimestamp": promise, "inclusionProof": proof}
        return {secrets.token_hex(32): {**promised, "verification": verification}}


@dataclass
class RekorV2:
    """The second generation: ``hashedrekord`` 0.0.2 only, no time of its own."""

    origin: str
    key: ed25519.Ed25519PrivateKey = field(default_factory=ed25519.Ed25519PrivateKey.generate)
    tree: MerkleTree = field(default_factory=MerkleTree)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    key_details = "PKIX_ED25519"

    @property
    def log_id(self) -> bytes:
        """The signed-note key id, which covers the origin: sha256(origin || LF || 0x01 || key)."""
        raw = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return hashlib.sha256(self.origin.encode() + b"\n\x01" + raw).digest()

    @property
    def public_key(self) -> bytes:
        """DER SubjectPublicKeyInfo."""
        return spki(self.key.public_key())

    def sign(self, data: bytes) -> bytes:
        """Ed25519."""
        return self.key.sign(data)

    def add(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Log a request; the answer of ``POST /api/v2/log/entries``, a TransparencyLogEntry."""
        if set(request) != {"hashedRekordRequestV002"}:
            raise RekorError("only hashedRekordRequestV002 is logged")
        digest, signature = (request["hashedRekordRequestV002"][name] for name in ("digest", "signature"))
        certificate = x509.load_der_x509_certificate(
            base64.b64decode(signature["verifier"]["x509Certificate"]["rawBytes"], validate=True)
        )
        _check(certificate, base64.b64decode(signature["content"]), base64.b64decode(digest))
        data = {"algorithm": "SHA2_256", "digest": digest}
        spec = {"hashedRekordV002": {"data": data, "signature": signature}}
        body = rfc8785.dumps({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec})
        entry = _append(self._lock, self.tree, body, self.origin, self.origin, self.log_id, self.sign)
        proof = {
            "logIndex": str(entry.index), "treeSize": str(entry.size), "rootHash": b64(entry.root),
            "hashes": [b64(node) for node in entry.proof], "checkpoint": {"envelope": entry.checkpoint},
        }  # fmt: skip
        return {
            "logIndex": str(entry.index), "logId": {"keyId": b64(self.log_id)}, "integratedTime": "0",
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "inclusionProof": proof, "canonicalizedBody": b64(body),
        }  # fmt: skip


def _append(
    lock: threading.Lock, tree: MerkleTree, body: bytes, signer: str, origin: str, log_id: bytes,
    sign: Callable[[bytes], bytes],
) -> Appended:  # fmt: skip
    with lock:
        index = tree.append(body)
        size, root, proof = len(tree), tree.root(), tree.inclusion_proof(index)
    note = f"{origin}\n{size}\n{b64(root)}\n"
    checkpoint = f"{note}\n\N{EM DASH} {signer} {b64(log_id[:4] + sign(note.encode()))}\n"
    return Appended(body, index, size, root, proof, checkpoint)


def _check(certificate: x509.Certificate, signature: bytes, digest: bytes) -> None:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise RekorError("only ECDSA certificates are logged")
    try:
        key.verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except InvalidSignature:
        raise RekorError("the signature does not verify with the certificate") from None


def _dsse_body(proposed: Mapping[str, Any]) -> dict[str, Any]:
    content = proposed["spec"]["proposedContent"]
    envelope, verifier = json.loads(content["envelope"]), content["verifiers"][0]
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    pre_authentication = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    certificate = x509.load_pem_x509_certificate(base64.b64decode(verifier))
    for signature in envelope["signatures"]:
        _check(certificate, base64.b64decode(signature["sig"]), hashlib.sha256(pre_authentication).digest())
    signatures = [{"signature": signature["sig"], "verifier": verifier} for signature in envelope["signatures"]]
    hashed = {
        name: {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}
        for name, data in (("envelopeHash", content["envelope"].encode()), ("payloadHash", payload))
    }
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": {**hashed, "signatures": signatures}}


def _hashedrekord_body(proposed: Mapping[str, Any]) -> dict[str, Any]:
    spec = proposed["spec"]
    certificate = x509.load_pem_x509_certificate(base64.b64decode(spec["signature"]["publicKey"]["content"]))
    digest = bytes.fromhex(spec["data"]["hash"]["value"])
    _check(certificate, base64.b64decode(spec["signature"]["content"]), digest)
    return {"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec}

"""The certificate transparency log: signs a promise (SCT) for every precertificate it appends (RFC 6962)."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.sigstore.merkle import MerkleTree
from tests.support.sigstore.x509 import spki_digest

__all__ = ["CtLog"]

_PRECERT_ENTRY = 1
_SHA256_ECDSA = b"\x04\x03"  # SignatureAndHashAlgorithm of RFC 5246


@dataclass
class CtLog:
    """One log with one ECDSA P-256 key."""

    clock: Callable[[], datetime]
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    tree: MerkleTree = field(default_factory=MerkleTree)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def log_id(self) -> bytes:
        """The sha256 of the log's public key."""
        return spki_digest(self.key.public_key())

    def add_precertificate(
        self, tbs: bytes, issuer_key_hash: bytes, *, key: ec.EllipticCurvePrivateKey | None = None
    ) -> bytes:
        """Append a precertificate; the SignedCertificateTimestamp, serialised (``key`` forges the signer)."""
        milliseconds = int(self.clock().timestamp() * 1000)
        entry = issuer_key_hash + len(tbs).to_bytes(3, "big") + tbs
        head = struct.pack("!BBQH", 0, 0, milliseconds, _PRECERT_ENTRY)
        no_extensions = b"\x00\x00"
        with self._lock:
            self.tree.append(head + entry + no_extensions)  # MerkleTreeLeaf has the same layout
        signature = (key or self.key).sign(head + entry + no_extensions, ec.ECDSA(hashes.SHA256()))
        signed = _SHA256_ECDSA + struct.pack("!H", len(signature)) + signature
        return b"\x00" + self.log_id + struct.pack("!Q", milliseconds) + no_extensions + signed

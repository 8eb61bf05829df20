"""The time-stamping authority (RFC 3161)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from asn1crypto import cms, core, tsp  # type: ignore[import-untyped]  # ships no types
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.support.sigstore.x509 import Authority, der, make_authority, make_leaf

__all__ = ["TimestampAuthority", "timestamp_request"]

_POLICY = "1.3.6.1.4.1.57264.2"


def timestamp_request(message: bytes) -> bytes:
    """A TimeStampReq for the sha256 of a message, with a nonce and the wish for certificates."""
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": hashlib.sha256(message).digest()}
    request = {"version": "v1", "message_imprint": imprint, "nonce": secrets.randbits(63), "cert_req": True}
    return bytes(tsp.TimeStampReq(request).dump())


@dataclass
class TimestampAuthority:
    """A root and a leaf that signs times."""

    clock: Callable[[], datetime]
    root: Authority = field(init=False)
    key: ec.EllipticCurvePrivateKey = field(init=False)
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        start = self.clock() - timedelta(minutes=30)
        self.root = make_authority("test-tsa-root", start)
        self.key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.TIME_STAMPING
        self.certificate = make_leaf("test-tsa", self.key.public_key(), self.root, start, usage)

    @property
    def chain(self) -> list[x509.Certificate]:
        """Leaf, then root."""
        return [self.certificate, self.root.certificate]

    def stamp(self, request_der: bytes, *, time: datetime | None = None) -> bytes:
        """Answer a TimeStampReq with a granted TimeStampResp; ``time`` is how a test makes a wrong one."""
        request = tsp.TimeStampReq.load(request_der, strict=True)
        if request["message_imprint"]["hash_algorithm"]["algorithm"].native not in ("sha256", "sha384", "sha512"):
            return bytes(tsp.TimeStampResp({"status": {"status": "rejection", "fail_info": {"bad_alg"}}}).dump())
        now = (time or self.clock()).replace(microsecond=0)
        info = {
            "version": "v1", "policy": _POLICY, "message_imprint": request["message_imprint"],
            "serial_number": secrets.randbits(63), "gen_time": now, "accuracy": {"seconds": 1},
        }  # fmt: skip
        if request["nonce"].native is not None:
            info["nonce"] = request["nonce"].native
        signed = self._signed_data(tsp.TSTInfo(info).dump(), now, bool(request["cert_req"].native))
        token = {"content_type": "signed_data", "content": signed}
        return bytes(tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token}).dump())

    def _signed_data(self, tst_info: bytes, now: datetime, with_certificate: bool) -> cms.SignedData:
        leaf = asn1_x509.Certificate.load(der(self.certificate))
        certificate_id = {"hash_algorithm": {"algorithm": "sha256"}, "cert_hash": hashlib.sha256(leaf.dump()).digest()}
        attributes = cms.CMSAttributes(
            [
                {"type": "content_type", "values": ["tst_info"]},
                {"type": "signing_time", "values": [cms.Time({"utc_time": core.UTCTime(now)})]},
                {"type": "message_digest", "values": [hashlib.sha256(tst_info).digest()]},
                {
                    "type": "signing_certificate_v2",
                    "values": [tsp.SigningCertificateV2({"certs": [tsp.ESSCertIDv2(certificate_id)]})],
                },
            ]
        )
        signer = {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                {"issuer_and_serial_number": {"issuer": leaf.issuer, "serial_number": leaf.serial_number}}
            ),
            "digest_algorithm": {"algorithm": "sha256"},
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": self.key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
        }
        content = {"content_type": "tst_info", "content": cms.ParsableOctetString(tst_info)}
        signed: dict[str, object] = {
            "version": "v3", "digest_algorithms": [{"algorithm": "sha256"}],
            "encap_content_info": content, "signer_infos": [signer],
        }  # fmt: skip
        if with_certificate:
            signed["certificates"] = [leaf]
        return cms.SignedData(signed)

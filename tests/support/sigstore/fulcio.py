"""Fulcio: exchanges an identity token and a proof of possession for a short-lived certificate with an SCT."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from asn1crypto import core  # type: ignore[import-untyped]  # ships no types
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from tests.support.sigstore.ctlog import CtLog
from tests.support.sigstore.oidc import Issuer
from tests.support.sigstore.x509 import Authority, key_usage, make_authority, spki_digest

__all__ = ["Fulcio", "FulcioError"]

_ARC = "1.3.6.1.4.1.57264.1"
_SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_GITHUB = "https://github.com/"

# claim → number below the arc, prefix (Fulcio's oid-info.md; each a DER UTF8String)
_EXTENSIONS = {
    "job_workflow_ref": (9, _GITHUB),
    "job_workflow_sha": (10, ""),
    "runner_environment": (11, ""),
    "repository": (12, _GITHUB),
    "sha": (13, ""),
    "ref": (14, ""),
    "repository_id": (15, ""),
    "repository_owner": (16, _GITHUB),
    "repository_owner_id": (17, ""),
    "workflow_ref": (18, _GITHUB),
    "workflow_sha": (19, ""),
    "event_name": (20, ""),
    "repository_visibility": (22, ""),
}
# the same facts in the deprecated extensions, as raw bytes
_DEPRECATED = {"event_name": 2, "sha": 3, "workflow": 4, "repository": 5, "ref": 6}


class FulcioError(Exception):
    """The request for a certificate is refused."""


@dataclass
class Fulcio:
    """A root, an intermediate, and the issuer whose tokens it believes."""

    issuer: Issuer
    ctlog: CtLog
    clock: Callable[[], datetime]
    root: Authority = field(init=False)
    intermediate: Authority = field(init=False)

    def __post_init__(self) -> None:
        start = self.clock() - timedelta(minutes=30)
        self.root = make_authority("test-fulcio-root", start, depth=1)
        usage = ExtendedKeyUsageOID.CODE_SIGNING
        self.intermediate = make_authority("test-fulcio", start, parent=self.root, usage=usage)

    @property
    def chain(self) -> list[x509.Certificate]:
        """Intermediate, then root."""
        return [self.intermediate.certificate, self.root.certificate]

    def sign_csr(self, token: str, csr_pem: bytes) -> list[x509.Certificate]:
        """Check the token and the CSR's own signature, then issue: leaf, intermediate, root."""
        claims = self.issuer.check(token)
        csr = x509.load_pem_x509_csr(csr_pem)
        if not csr.is_signature_valid:
            raise FulcioError("the CSR is not signed by its own key")
        return [self.issue(claims, _p256(csr.public_key())), *self.chain]

    def sign_public_key(self, token: str, key: object, proof: bytes) -> list[x509.Certificate]:
        """Check the token and the signature over its subject (proof of possession), then issue."""
        claims = self.issuer.check(token)
        challenge = str(claims["email"] if "email" in claims else claims["sub"])
        _p256(key).verify(proof, challenge.encode(), ec.ECDSA(hashes.SHA256()))
        return [self.issue(claims, _p256(key)), *self.chain]

    def issue(
        self,
        claims: Mapping[str, object],
        key: ec.EllipticCurvePublicKey,
        *,
        start: datetime | None = None,
        lifetime: timedelta = timedelta(minutes=10),
        sct: bool = True,
        sct_key: ec.EllipticCurvePrivateKey | None = None,
        code_signing: bool = True,
    ) -> x509.Certificate:
        """A certificate for these claims. The keyword arguments are how a test makes a wrong one."""
        begin = (start or self.clock()).replace(microsecond=0)
        builder = self._leaf(key, begin, lifetime, code_signing)
        builder = builder.add_extension(_san(claims), critical=True)
        for number, value in sorted(_extension_values({"iss": self.issuer.url, **claims}).items()):
            oid = ObjectIdentifier(f"{_ARC}.{number}")
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
        if sct:
            builder = builder.add_extension(self._sct_list(builder, sct_key), critical=False)
        return builder.sign(self.intermediate.key, hashes.SHA384())

    def _leaf(
        self, key: ec.EllipticCurvePublicKey, begin: datetime, lifetime: timedelta, code_signing: bool
    ) -> x509.CertificateBuilder:
        usage = ExtendedKeyUsageOID.CODE_SIGNING if code_signing else ExtendedKeyUsageOID.EMAIL_PROTECTION
        issuer_key = self.intermediate.key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.intermediate.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + lifetime)
            .add_extension(key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        )

    def _sct_list(
        self, builder: x509.CertificateBuilder, sct_key: ec.EllipticCurvePrivateKey | None
    ) -> x509.UnrecognizedExtension:
        """The extension with one SCT, over the certificate as it is without this extension."""
        tbs = builder.sign(self.intermediate.key, hashes.SHA384()).tbs_certificate_bytes
        sct = self.ctlog.add_precertificate(tbs, spki_digest(self.intermediate.key.public_key()), key=sct_key)
        listed = struct.pack("!H", len(sct) + 2) + struct.pack("!H", len(sct)) + sct
        return x509.UnrecognizedExtension(_SCT_LIST, core.OctetString(listed).dump())


def _p256(key: object) -> ec.EllipticCurvePublicKey:
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise FulcioError("only ECDSA P-256 keys are certified")
    return key


def _san(claims: Mapping[str, object]) -> x509.SubjectAlternativeName:
    """Who the certificate is for: a workflow's URI, a verified e-mail address, or the subject as a URI."""
    if workflow := claims.get("job_workflow_ref"):
        return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"{_GITHUB}{workflow}")])
    if email := claims.get("email"):
        if claims.get("email_verified") is not True:
            raise FulcioError("the e-mail address is not verified")
        return x509.SubjectAlternativeName([x509.RFC822Name(str(email))])
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(claims["sub"]))])


def _extension_values(claims: Mapping[str, object]) -> dict[int, bytes]:
    values = {1: str(claims["iss"]).encode(), 8: core.UTF8String(str(claims["iss"])).dump()}
    for claim, number in _DEPRECATED.items():
        if claim in claims:
            values[number] = str(claims[claim]).encode()
    for claim, (number, prefix) in _EXTENSIONS.items():
        if claim in claims:
            values[number] = core.UTF8String(f"{prefix}{claims[claim]}").dump()
    if "run_id" in claims:
        run = f"{_GITHUB}{claims['repository']}/actions/runs/{claims['run_id']}/attempts/{claims['run_attempt']}"
        values[21] = core.UTF8String(run).dump()
    return values

"""Certificates of the test instance: roots, intermediates, and the small helpers every service needs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

__all__ = ["Authority", "der", "key_usage", "make_authority", "make_leaf", "pem", "spki", "spki_digest", "subject"]

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True)
class Authority:
    """A certificate that may sign others, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def der(certificate: x509.Certificate) -> bytes:
    """The certificate as DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def pem(certificate: x509.Certificate) -> str:
    """The certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def spki(key: PublicKey) -> bytes:
    """A public key as a DER SubjectPublicKeyInfo."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def spki_digest(key: PublicKey) -> bytes:
    """The sha256 of the SubjectPublicKeyInfo: a log's id in RFC 6962, and the issuer key hash in an SCT."""
    return hashlib.sha256(spki(key)).digest()


def subject(common_name: str) -> x509.Name:
    """A name that says what this is."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "TEST INSTANCE - do not trust"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def key_usage(*, ca: bool) -> x509.KeyUsage:
    """keyCertSign and cRLSign for an authority, digitalSignature for a leaf."""
    return x509.KeyUsage(
        digital_signature=not ca, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=ca, crl_sign=ca, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def make_authority(
    name: str,
    start: datetime,
    *,
    parent: Authority | None = None,
    usage: ObjectIdentifier | None = None,
    depth: int = 0,
) -> Authority:
    """A root (no parent) or an intermediate; ``depth`` is the path length it allows below itself."""
    key = ec.generate_private_key(ec.SECP384R1())
    issuer = parent.certificate.subject if parent else subject(name)
    issuer_key = parent.key if parent else key
    builder = _builder(name, key.public_key(), issuer, issuer_key.public_key(), start)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=depth), critical=True)
    builder = builder.add_extension(key_usage(ca=True), critical=True)
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return Authority(builder.sign(issuer_key, hashes.SHA384()), key)


def make_leaf(
    name: str, key: ec.EllipticCurvePublicKey, parent: Authority, start: datetime, usage: ObjectIdentifier
) -> x509.Certificate:
    """A long-lived end-entity certificate; RFC 3161 wants a critical time-stamping usage."""
    builder = _builder(name, key, parent.certificate.subject, parent.key.public_key(), start)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(key_usage(ca=False), critical=True)
    critical = usage == ExtendedKeyUsageOID.TIME_STAMPING
    return builder.add_extension(x509.ExtendedKeyUsage([usage]), critical).sign(parent.key, hashes.SHA384())


def _builder(
    name: str, key: ec.EllipticCurvePublicKey, issuer: x509.Name, issuer_key: ec.EllipticCurvePublicKey, start: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=3650))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )

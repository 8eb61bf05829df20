"""Claims: read from the certificate's extensions, refused where they could mean two things."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.sigstore import Instance, draft_bundle, email_claims, workflow_claims
from tests.support.sigstore.scene import IDENTITY

from millcert.attest.claims import claims_of
from millcert.attest.errors import CertificateError

_ARC = "1.3.6.1.4.1.57264.1"
_MAIL = x509.RFC822Name("a@example.org")
_ISSUER = b"https://issuer.example"


def _utf8(text: bytes) -> bytes:
    return b"\x0c" + bytes([len(text)]) + text


def _certificate(names: list[x509.GeneralName], extensions: dict[int, bytes]) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([])).serial_number(1)
    builder = builder.public_key(key.public_key()).not_valid_before(now).not_valid_after(now + timedelta(minutes=1))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    for number, value in extensions.items():
        oid = x509.ObjectIdentifier(f"{_ARC}.{number}")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    return builder.sign(key, hashes.SHA256())


def test_claims_are_those_of_the_certificate() -> None:
    instance = Instance("http://issuer.example")
    claims = claims_of(draft_bundle(instance, b"{}", workflow_claims()).certificate)
    assert claims.key == ("http://issuer.example/oidc", IDENTITY)
    assert claims.extensions["source-repository-owner-uri"] == "https://github.com/example"
    assert claims.extensions["build-config-uri"] == IDENTITY
    assert len(claims.extensions) == 14
    person = claims_of(draft_bundle(instance, b"{}", email_claims("a@example.org")).certificate)
    assert (person.identity, dict(person.extensions)) == ("a@example.org", {})


@pytest.mark.parametrize("extensions", [{1: _ISSUER}, {8: _utf8(_ISSUER)}, {1: _ISSUER, 8: _utf8(_ISSUER)}])
def test_the_issuer_is_read_in_both_its_forms(extensions: dict[int, bytes]) -> None:
    assert claims_of(_certificate([_MAIL], extensions)).issuer == _ISSUER.decode()


def test_an_identity_may_be_fulcios_own_kind_of_name() -> None:
    name = x509.OtherName(x509.ObjectIdentifier(f"{_ARC}.7"), _utf8(b"user!example.org"))
    assert claims_of(_certificate([name], {1: _ISSUER})).identity == "user!example.org"


@pytest.mark.parametrize(
    ("names", "extensions"),
    [
        ([], {1: _ISSUER}),
        ([_MAIL, x509.RFC822Name("b@example.org")], {1: _ISSUER}),
        ([_MAIL, x509.UniformResourceIdentifier("https://b.example")], {1: _ISSUER}),
        ([x509.DNSName("example.org")], {1: _ISSUER}),
        ([x509.OtherName(x509.ObjectIdentifier("1.2.3"), _utf8(b"a@example.org"))], {1: _ISSUER}),
        ([_MAIL], {}),
        ([_MAIL], {1: _ISSUER, 8: _utf8(b"https://other.example")}),
        ([_MAIL], {1: b"\xff"}),
        ([_MAIL], {8: _ISSUER}),
        ([_MAIL], {8: _utf8(_ISSUER) + b"x"}),
        ([_MAIL], {1: _ISSUER, 12: b"\x16\x01a"}),
    ],
    ids=[
        "no name", "two addresses", "address and URI", "host name", "another kind of name", "no issuer", "two issuers",
        "issuer not UTF-8", "issuer not DER", "something after the issuer", "another string type",
    ],
)  # fmt: skip
def test_an_ambiguous_certificate_is_refused(names: list[x509.GeneralName], extensions: dict[int, bytes]) -> None:
    with pytest.raises(CertificateError):
        claims_of(_certificate(names, extensions))

"""What a Fulcio certificate says about who asked for it.

Source: Fulcio's docs/oid-info.md, extensions under 1.3.6.1.4.1.57264.1; the names here are its names,
with hyphens. The deprecated extensions .2 to .6 are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millcert.attest.errors import CertificateError, printable

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["EXTENSIONS", "Claims", "claims_of"]

_ARC = "1.3.6.1.4.1.57264.1"
_ISSUER_V1, _OTHER_NAME, _ISSUER_V2 = (f"{_ARC}.{number}" for number in (1, 7, 8))

EXTENSIONS: Mapping[str, str] = {
    "build-signer-uri": f"{_ARC}.9",
    "build-signer-digest": f"{_ARC}.10",
    "runner-environment": f"{_ARC}.11",
    "source-repository-uri": f"{_ARC}.12",
    "source-repository-digest": f"{_ARC}.13",
    "source-repository-ref": f"{_ARC}.14",
    "source-repository-identifier": f"{_ARC}.15",
    "source-repository-owner-uri": f"{_ARC}.16",
    "source-repository-owner-identifier": f"{_ARC}.17",
    "build-config-uri": f"{_ARC}.18",
    "build-config-digest": f"{_ARC}.19",
    "build-trigger": f"{_ARC}.20",
    "run-invocation-uri": f"{_ARC}.21",
    "source-repository-visibility-at-signing": f"{_ARC}.22",
}


@dataclass(frozen=True)
class Claims:
    """One identity, the issuer that vouched for it, and the extensions the certificate carries."""

    identity: str
    issuer: str
    extensions: Mapping[str, str]

    @property
    def key(self) -> tuple[str, str]:
        """What makes two builders the same one."""
        return self.issuer, self.identity


def claims_of(certificate: x509.Certificate) -> Claims:
    """The claims of a certificate; CertificateError where they are ambiguous or malformed."""
    found = {extension.oid.dotted_string: extension for extension in certificate.extensions}
    values = {oid: _raw(extension.value) for oid, extension in found.items() if oid.startswith(f"{_ARC}.")}
    extensions = {name: _utf8_string(values[oid]) for name, oid in EXTENSIONS.items() if oid in values}
    return Claims(_identity(certificate), _issuer(values), extensions)


def _identity(certificate: x509.Certificate) -> str:
    """The one subject alternative name: Fulcio never issues two."""
    from cryptography import x509

    try:
        names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        names = []
    if len(names) != 1:
        raise CertificateError("the certificate does not name exactly one identity", found=len(names))
    name = names[0]
    if isinstance(name, x509.RFC822Name | x509.UniformResourceIdentifier):
        return name.value
    if isinstance(name, x509.OtherName) and name.type_id.dotted_string == _OTHER_NAME:
        return _utf8_string(name.value)
    raise CertificateError("the certificate's identity is of an unknown kind", found=type(name).__name__)


def _issuer(values: Mapping[str, bytes]) -> str:
    old, new = values.get(_ISSUER_V1), values.get(_ISSUER_V2)
    if new is None and old is None:
        raise CertificateError("the certificate does not say which issuer vouched for the identity")
    first = _text(old) if old is not None else None
    second = _utf8_string(new) if new is not None else None
    if first is not None and second is not None and first != second:
        raise CertificateError("the certificate names two issuers", first=printable(first), second=printable(second))
    return str(second if second is not None else first)


def _raw(value: x509.ExtensionType) -> bytes:
    from cryptography import x509

    if not isinstance(value, x509.UnrecognizedExtension):
        raise CertificateError("an extension of Fulcio's was not left opaque", found=type(value).__name__)
    return value.value


def _utf8_string(der: bytes) -> str:
    from cryptography.hazmat import asn1

    try:
        return asn1.decode_der(str, der)
    except ValueError:
        raise CertificateError("an extension is not a DER UTF8String", found=printable(der[:40].hex())) from None


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise CertificateError("an extension is not UTF-8", found=printable(data[:40].hex())) from None

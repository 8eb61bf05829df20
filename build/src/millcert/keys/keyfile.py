"""A signing key as one JSON document.

Every document holds the public key as TUF writes it. A full document also says where the private half is:
``secret`` (encrypted here with a password: scrypt, then ChaCha20-Poly1305 bound to the public half),
``token`` (on a PKCS#11 token) or ``command`` (an agent that signs standard input). A document without any of
these is a public card, to be passed around.
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_public_key
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner, HSMSigner, Key, SSlibKey

from millcert.errors import ConfigError, UsageError
from millcert.keys.errors import KeyRefusedError
from millcert.model import canonical_json

__all__ = ["KeyDocument", "create_key", "external_key", "read_key", "token_key", "unlock", "write_key"]

_FORMAT = "millcert-key/1"
_NAME = "x-millcert-name"
_COST = 1 << 17  # scrypt N: 128 MiB and some 0.3 s
_MOST_COST = 1 << 20  # a hostile document must not claim gigabytes
_LARGEST = 1 << 16


@dataclass(frozen=True)
class KeyDocument:
    """A key's public half, its owner's name, and where its private half is (nowhere, for a public card)."""

    name: str
    public: Key
    secret: Mapping[str, Any] | None = None
    token: str = ""
    command: tuple[str, ...] = ()

    @property
    def keyid(self) -> str:
        """The TUF key id: the sha256 of the public key."""
        return str(self.public.keyid)

    @property
    def card(self) -> KeyDocument:
        """The public half alone."""
        return replace(self, secret=None, token="", command=())

    def to_bytes(self) -> bytes:
        """The document as JSON."""
        fields: dict[str, Any] = {"format": _FORMAT, "keyid": self.keyid, "public": self.public.to_dict()}
        fields |= {"secret": dict(self.secret)} if self.secret else {}
        fields |= {"token": self.token} if self.token else {}
        fields |= {"command": list(self.command)} if self.command else {}
        return json.dumps(fields, indent=1, sort_keys=True).encode() + b"\n"


def create_key(name: str, password: str, *, cost: int = _COST) -> KeyDocument:
    """A new Ed25519 key, its private half encrypted with a password (``cost``: scrypt's N)."""
    if not password:
        raise UsageError("a key needs a password", fix="give one at the prompt or by --password-fd")
    private = Ed25519PrivateKey.generate()
    public = _named(SSlibKey.from_crypto(private.public_key()), name)
    salt, nonce = os.urandom(16), os.urandom(12)
    raw = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    sealed = ChaCha20Poly1305(_stretch(password, salt, cost)).encrypt(nonce, raw, canonical_json(public.to_dict()))
    secret = {
        "kdf": "scrypt", "n": cost, "r": 8, "p": 1, "salt": b64encode(salt).decode(),
        "cipher": "chacha20-poly1305", "nonce": b64encode(nonce).decode(), "sealed": b64encode(sealed).decode(),
    }  # fmt: skip
    return KeyDocument(name, public, secret=secret)


def token_key(name: str, keyid: int, label: str, pin: str) -> KeyDocument:
    """A key that is on a PKCS#11 token already; the module's path is in ``PYKCS11LIB``, as securesystemslib asks."""
    try:
        uri, public = HSMSigner.import_(keyid, label, lambda _: pin)
    except Exception as error:  # securesystemslib and the PKCS#11 module raise whatever they like
        raise KeyRefusedError("the token gives no such key", token=label, key=keyid, reason=error) from error
    return KeyDocument(name, _named(public, name), token=uri)


def external_key(name: str, public_pem: bytes, command: tuple[str, ...]) -> KeyDocument:
    """A key behind a command that reads the payload on standard input and prints the signature in hexadecimal."""
    try:
        public = SSlibKey.from_crypto(load_pem_public_key(public_pem))
    except ValueError as error:
        raise KeyRefusedError("not a public key in PEM", reason=error) from error
    return KeyDocument(name, _named(public, name), command=command)


def read_key(path: Path) -> KeyDocument:
    """Read a key document or card; the key id must be the public key's own."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("too large")
        fields = json.loads(path.read_bytes())
        if fields["format"] != _FORMAT:
            raise ValueError(f"format {fields['format']!r}")
        public = Key.from_dict(str(fields["keyid"]), dict(fields["public"]))
        name = str(public.unrecognized_fields.get(_NAME, ""))
        command = tuple(str(word) for word in fields.get("command", ()))
        document = KeyDocument(name, public, fields.get("secret"), str(fields.get("token", "")), command)
        if public.keyid != _keyid(public):
            raise ValueError("the key id is not the public key's")
    except FileNotFoundError:
        raise KeyRefusedError("there is no such key file", file=path) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise KeyRefusedError("not a key document", file=path, reason=error) from error
    return document


def write_key(document: KeyDocument, path: Path) -> None:
    """Write a document for its owner alone (mode 0600); never over another, never with a secret into a repository."""
    if document.secret and any((folder / ".git").exists() for folder in path.absolute().parents):
        raise UsageError("a private key must not be in a repository", file=path, fix="choose a folder outside of it")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError("there is a file already", file=path, fix="choose another name") from None
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(document.to_bytes())
        stream.flush()
        os.fsync(stream.fileno())


def unlock(document: KeyDocument, password: str) -> CryptoSigner:
    """The private half of an encrypted document; KeyRefusedError for a wrong password or an altered document."""
    secret = document.secret or {}
    try:
        if (secret["kdf"], secret["r"], secret["p"], secret["cipher"]) != ("scrypt", 8, 1, "chacha20-poly1305"):
            raise ConfigError("an encryption that millcert does not use")
        cost = int(secret["n"])
        if not 2 <= cost <= _MOST_COST or cost & (cost - 1):
            raise ValueError(f"scrypt cost {cost}")
        key = _stretch(password, b64decode(secret["salt"]), cost)
        bound = canonical_json(document.public.to_dict())
        raw = ChaCha20Poly1305(key).decrypt(b64decode(secret["nonce"]), b64decode(secret["sealed"]), bound)
    except InvalidTag:
        raise KeyRefusedError("the password is wrong, or the key document was altered", key=document.name) from None
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise KeyRefusedError("not an encrypted key", key=document.name, reason=error) from error
    public = SSlibKey.from_dict(document.keyid, document.public.to_dict())
    return CryptoSigner(Ed25519PrivateKey.from_private_bytes(raw), public)


def _stretch(password: str, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=cost, r=8, p=1).derive(password.encode())


def _keyid(key: Key) -> str:
    canonical = encode_canonical({"keytype": key.keytype, "scheme": key.scheme, "keyval": key.keyval})
    return hashlib.sha256(str(canonical).encode()).hexdigest()


def _named(key: SSlibKey, name: str) -> SSlibKey:
    key.unrecognized_fields[_NAME] = name
    return key

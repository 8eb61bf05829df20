"""Opens a key document for signing: with a password, a token's PIN, or the agent's own means."""

from __future__ import annotations

import binascii
import subprocess
from collections.abc import Callable
from typing import NoReturn

from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import HSMSigner, Key, Signature, Signer

from millcert.keys.errors import KeyRefusedError
from millcert.keys.keyfile import KeyDocument, unlock

__all__ = ["Secrets", "open_signer"]

Secrets = Callable[[str], str]  # the name of what is asked for → the secret

_AGENT_SECONDS = 120


class _CheckedSigner(Signer):
    """Any way to sign, its signatures verified before use: a broken token must not break an index."""

    def __init__(self, document: KeyDocument, sign: Callable[[bytes], Signature]) -> None:
        self._document, self._sign = document, sign

    @classmethod
    def from_priv_key_uri(cls, *_: object, **__: object) -> NoReturn:
        """Refused: a signer comes from a key document only."""
        raise ValueError("signers are opened from key documents")

    @property
    def public_key(self) -> Key:
        """The public half."""
        return self._document.public

    def sign(self, payload: bytes) -> Signature:
        """The signature over a payload; KeyRefusedError where the key fails or its signature does not verify."""
        try:
            signature = self._sign(payload)
            self.public_key.verify_signature(signature, payload)
        except (UnverifiedSignatureError, VerificationError) as error:
            raise KeyRefusedError("a signature that its own key does not verify", key=self._document.name) from error
        except Exception as error:  # tokens and agents fail in ways of their own
            raise KeyRefusedError("the key did not sign", key=self._document.name, reason=repr(error)) from error
        return signature


def open_signer(document: KeyDocument, secrets: Secrets) -> Signer:
    """A signer for a full document; ``secrets`` is asked for the password or PIN when one is needed."""
    if document.secret:
        return _CheckedSigner(document, unlock(document, secrets(f"password of {document.name}")).sign)
    if document.token:
        token = HSMSigner.from_priv_key_uri(
            document.token, document.public, lambda what: secrets(f"{what} of {document.name}")
        )
        return _CheckedSigner(document, token.sign)
    if document.command:
        return _CheckedSigner(document, lambda payload: _ask(document, payload))
    raise KeyRefusedError("a public card cannot sign", key=document.name, fix="name the key document itself")


def _ask(document: KeyDocument, payload: bytes) -> Signature:
    done = subprocess.run(document.command, input=payload, capture_output=True, timeout=_AGENT_SECONDS, check=True)
    return Signature(document.keyid, binascii.unhexlify(done.stdout.strip()).hex())

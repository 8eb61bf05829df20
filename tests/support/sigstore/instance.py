"""All services of the test instance under one clock, and the documents a client trusts it by."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from tests.support.sigstore.ctlog import CtLog
from tests.support.sigstore.fulcio import Fulcio
from tests.support.sigstore.oidc import Issuer
from tests.support.sigstore.rekor import RekorV1, RekorV2, b64
from tests.support.sigstore.tsa import TimestampAuthority
from tests.support.sigstore.x509 import der, spki

__all__ = ["Instance"]

_OPERATOR = "TEST INSTANCE - do not trust"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Instance:
    """Issuer, certificate authority, logs and time-stamping with fresh keys; ``url`` is where they answer."""

    url: str = "http://test-instance.invalid"
    clock: Callable[[], datetime] = _now
    issuer: Issuer = field(init=False)
    ctlog: CtLog = field(init=False)
    fulcio: Fulcio = field(init=False)
    rekor_v1: RekorV1 = field(init=False)
    rekor_v2: RekorV2 = field(init=False)
    tsa: TimestampAuthority = field(init=False)

    def __post_init__(self) -> None:
        self.start = self.clock() - timedelta(minutes=30)
        self.issuer = Issuer(f"{self.url}/oidc", self.clock)
        self.ctlog = CtLog(self.clock)
        self.fulcio = Fulcio(self.issuer, self.ctlog, self.clock)
        self.rekor_v1 = RekorV1("rekor.test-instance.invalid", self.clock)
        self.rekor_v2 = RekorV2("log2026.test-instance.invalid")
        self.tsa = TimestampAuthority(self.clock)

    def trusted_root(self) -> dict[str, Any]:
        """A TrustedRoot (protobuf-specs, sigstore_trustroot.proto) as JSON."""
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self._log(self.rekor_v1), self._log(self.rekor_v2)],
            "certificateAuthorities": [self._authority(self.fulcio.chain)],
            "ctlogs": [
                {
                    "baseUrl": f"{self.url}/ct",
                    "hashAlgorithm": "SHA2_256",
                    "publicKey": self._key(spki(self.ctlog.key.public_key()), "PKIX_ECDSA_P256_SHA_256"),
                    "logId": {"keyId": b64(self.ctlog.log_id)},
                }
            ],
            "timestampAuthorities": [self._authority(self.tsa.chain)],
        }

    def signing_config(self, *, rekor: int = 1) -> dict[str, Any]:
        """A SigningConfig v0.2 that sends entries to Rekor v1 or v2."""
        return {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [self._service("")],
            "oidcUrls": [self._service("/oidc")],
            "rekorTlogUrls": [self._service("", version=rekor)],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": [self._service("/api/v1/timestamp")],
            "tsaConfig": {"selector": "ANY"},
        }

    def trust_config(self, *, rekor: int = 1) -> dict[str, Any]:
        """A ClientTrustConfig: what ``--trust-config`` takes."""
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root(),
            "signingConfig": self.signing_config(rekor=rekor),
        }

    def trusted_root_json(self) -> bytes:
        """The trusted root as a file holds it."""
        return json.dumps(self.trusted_root(), indent=1).encode()

    def trust_config_json(self, *, rekor: int = 1) -> bytes:
        """The client trust configuration as a file holds it."""
        return json.dumps(self.trust_config(rekor=rekor), indent=1).encode()

    @property
    def _valid_for(self) -> dict[str, str]:
        return {"start": self.start.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def _key(self, raw: bytes, details: str) -> dict[str, Any]:
        return {"rawBytes": b64(raw), "keyDetails": details, "validFor": self._valid_for}

    def _log(self, log: RekorV1 | RekorV2) -> dict[str, Any]:
        return {
            "baseUrl": f"http://{log.origin}",
            "hashAlgorithm": "SHA2_256",
            "publicKey": self._key(log.public_key, log.key_details),
            "logId": {"keyId": b64(log.log_id)},
        }

    def _authority(self, chain: list[x509.Certificate]) -> dict[str, Any]:
        return {
            "subject": {"organization": _OPERATOR, "commonName": "test instance"},
            "uri": self.url,
            "certChain": {"certificates": [{"rawBytes": b64(der(certificate))} for certificate in chain]},
            "validFor": self._valid_for,
        }

    def _service(self, path: str, *, version: int = 1) -> dict[str, Any]:
        return {
            "url": self.url + path,
            "majorApiVersion": version,
            "operator": _OPERATOR,
            "validFor": self._valid_for,
        }

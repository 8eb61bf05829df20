"""The OpenID Connect issuer: discovery, JWKS, the authorization-code flow with PKCE, and a mint for tests."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

__all__ = ["AUDIENCE", "Issuer", "OidcError", "email_claims", "workflow_claims"]

AUDIENCE = "sigstore"
LIFETIME = 600  # seconds

Claims = Mapping[str, object]


class OidcError(Exception):
    """The request does not follow OpenID Connect."""


def email_claims(email: str) -> dict[str, object]:
    """The claims of a person with a verified e-mail address."""
    return {"sub": email, "email": email, "email_verified": True}


def workflow_claims(
    repository: str = "example/wootz",
    *,
    workflow: str = "nightly.yml",
    ref: str = "refs/heads/main",
    commit: str = "a" * 40,
    trigger: str = "schedule",
    runner: str = "github-hosted",
    repository_id: str = "1001",
    owner_id: str = "2002",
) -> dict[str, object]:
    """The claims of a workflow run, named as GitHub Actions names them."""
    workflow_ref = f"{repository}/.github/workflows/{workflow}@{ref}"
    return {
        "sub": f"repo:{repository}:ref:{ref}",
        "event_name": trigger,
        "job_workflow_ref": workflow_ref,
        "job_workflow_sha": commit,
        "ref": ref,
        "repository": repository,
        "repository_id": repository_id,
        "repository_owner": repository.partition("/")[0],
        "repository_owner_id": owner_id,
        "repository_visibility": "public",
        "run_attempt": "1",
        "run_id": "42",
        "runner_environment": runner,
        "sha": commit,
        "workflow": "nightly",
        "workflow_ref": workflow_ref,
        "workflow_sha": commit,
    }


@dataclass
class Issuer:
    """Issues ID tokens signed with ES256; ``person`` is who logs in when a browser asks."""

    url: str
    clock: Callable[[], datetime]
    person: Claims = field(default_factory=lambda: email_claims("tester@example.org"))
    ambient: Claims = field(default_factory=workflow_claims)
    ambient_bearer: str = field(default_factory=lambda: secrets.token_hex(16))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    key_id: str = field(default_factory=lambda: secrets.token_hex(8))
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def token(self, claims: Claims, *, audience: str = AUDIENCE, lifetime: int = LIFETIME) -> str:
        """An ID token with these claims; anybody may have any identity here, since this is a test instance."""
        now = int(self.clock().timestamp())
        standard = {"iss": self.url, "aud": audience, "iat": now, "nbf": now - 1, "exp": now + lifetime}
        return jwt.encode({**standard, **claims}, self.key, algorithm="ES256", headers={"kid": self.key_id})

    def check(self, token: str) -> dict[str, object]:
        """The claims of a token this issuer signed: signature, issuer, audience and times are verified."""
        public = jwt.PyJWK(self.jwks()["keys"][0])
        return dict(
            jwt.decode(
                token, public, algorithms=["ES256"], audience=AUDIENCE, issuer=self.url,
                options={"require": ["iss", "aud", "sub", "iat", "exp"]},
            )
        )  # fmt: skip

    def discovery(self) -> dict[str, object]:
        """``.well-known/openid-configuration``."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def jwks(self) -> dict[str, list[dict[str, object]]]:
        """The public key, as RFC 7517 has it."""
        public = json.loads(ECAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "ES256"}]}

    def authorize(self, query: Mapping[str, str]) -> str:
        """Log ``person`` in and return where the browser is sent: the redirect URI with code and state."""
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            raise OidcError("only the authorization-code flow with PKCE (S256) is offered")
        code = secrets.token_urlsafe(16)
        self._codes[code] = dict(query)
        return f"{query['redirect_uri']}?code={code}&state={query['state']}"

    def exchange(self, form: Mapping[str, str]) -> dict[str, object]:
        """Exchange a code for a token: once, for the same redirect URI, and only with the PKCE verifier."""
        request = self._codes.pop(form.get("code", ""), None)
        if request is None or form.get("grant_type") != "authorization_code":
            raise OidcError("unknown or used authorization code")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if challenge != request["code_challenge"] or form.get("redirect_uri") != request["redirect_uri"]:
            raise OidcError("the PKCE verifier or the redirect URI does not belong to the code")
        token = self.token(self.person, audience=request["client_id"])
        return {"access_token": token, "id_token": token, "token_type": "Bearer", "expires_in": LIFETIME}

    def ambient_token(self, authorization: str, audience: str) -> dict[str, object]:
        """The token a CI job asks its runner for (GitHub Actions' request URL and bearer)."""
        if authorization != f"bearer {self.ambient_bearer}":
            raise OidcError("not this job's bearer")
        return {"value": self.token(self.ambient, audience=audience)}

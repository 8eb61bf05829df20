"""A whole Sigstore on loopback, for tests: OIDC issuer, Fulcio, CT log, Rekor v1 and v2, time-stamping.

THIS IS A TEST INSTANCE. Its keys live in memory, anybody may ask its issuer for any identity, and nothing
it signs means anything outside a test. What it checks it checks for real: tokens, proofs of possession,
signatures before logging; its logs are real Merkle trees with real inclusion proofs and checkpoints.

``Instance`` is the services without a network, ``Server`` the same over HTTP on 127.0.0.1, ``draft_bundle``
a client that makes a bundle by hand, so that a test can leave one thing out or put a wrong one in.
"""

from tests.support.sigstore.bundle import BundleDraft, draft_bundle
from tests.support.sigstore.instance import Instance
from tests.support.sigstore.oidc import email_claims, workflow_claims
from tests.support.sigstore.server import Server, shared_server

__all__ = ["BundleDraft", "Instance", "Server", "draft_bundle", "email_claims", "shared_server", "workflow_claims"]

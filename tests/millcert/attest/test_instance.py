"""The test instance itself: a test that trusts it proves nothing unless it checks what a real one checks."""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.sigstore import Instance, Server, draft_bundle, email_claims, workflow_claims
from tests.support.sigstore.merkle import MerkleTree
from tests.support.sigstore.rekor import RekorError, b64

# The well-known leaves and roots of the Certificate Transparency reference tests (RFC 6962 trees of size 1 to 8).
_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
_ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def test_tree_has_the_roots_of_the_reference_vectors() -> None:
    tree = MerkleTree()
    for size, leaf in enumerate(_LEAVES, 1):
        tree.append(bytes.fromhex(leaf))
        if size in _ROOTS:
            assert tree.root().hex() == _ROOTS[size]


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 8, 21])
def test_inclusion_proofs_lead_to_the_root(size: int) -> None:
    tree = MerkleTree()
    for number in range(size):
        tree.append(b"leaf %d" % number)
    for index in range(size):
        # RFC 9162, section 2.1.3.2: verification is another algorithm than proving
        fn, sn, node = index, size - 1, hashlib.sha256(b"\0leaf %d" % index).digest()
        for sibling in tree.inclusion_proof(index):
            if fn & 1 or fn == sn:
                node = hashlib.sha256(b"\1" + sibling + node).digest()
                while not fn & 1 and fn:
                    fn, sn = fn >> 1, sn >> 1
            else:
                node = hashlib.sha256(b"\1" + node + sibling).digest()
            fn, sn = fn >> 1, sn >> 1
        assert (sn, node) == (0, tree.root())


def _csr(key: ec.EllipticCurvePrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _post(server: Server, path: str, body: object, **headers: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _ask_certificate(server: Server, token: str, csr: bytes) -> int:
    body = {"certificateSigningRequest": b64(csr)}
    return _post(server, "/api/v2/signingCert", body, Authorization=f"Bearer {token}")[0]


def test_fulcio_certifies_a_good_token_and_csr(server: Server) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    assert _ask_certificate(server, server.instance.issuer.token(workflow_claims()), _csr(key)) == 201


@pytest.mark.parametrize(
    "forge",
    [
        lambda issuer: issuer.token(workflow_claims(), audience="somebody-else"),
        lambda issuer: issuer.token(workflow_claims(), lifetime=-60),
        lambda issuer: issuer.token({**workflow_claims(), "iss": "https://another.example"}),
        lambda issuer: issuer.token(email_claims("a@example.org") | {"email_verified": False}),
        lambda issuer: jwt.encode(
            jwt.decode(issuer.token(workflow_claims()), options={"verify_signature": False}),
            ec.generate_private_key(ec.SECP256R1()), algorithm="ES256",
        ),
        lambda issuer: jwt.encode({"sub": "x"}, "", algorithm="none"),
    ],
    ids=["audience", "expired", "issuer", "unverified e-mail", "another key", "no signature"],
)  # fmt: skip
def test_fulcio_refuses_a_bad_token(server: Server, forge: Callable[[Any], str]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    assert _ask_certificate(server, forge(server.instance.issuer), _csr(key)) == 400


def test_fulcio_refuses_a_csr_that_its_own_key_did_not_sign(server: Server) -> None:
    csr = x509.load_pem_x509_csr(_csr(ec.generate_private_key(ec.SECP256R1())))
    raw = bytearray(csr.public_bytes(serialization.Encoding.DER))
    raw[-1] ^= 1
    pem = b"-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(raw) + b"-----END CERTIFICATE REQUEST-----\n"
    assert _ask_certificate(server, server.instance.issuer.token(workflow_claims()), pem) == 400


def test_rekor_refuses_a_signature_that_does_not_verify() -> None:
    instance = Instance()
    draft = draft_bundle(instance, b"{}", workflow_claims(), rekor=2)
    body = json.loads(base64.b64decode(draft.entry["canonicalizedBody"]))["spec"]["hashedRekordV002"]
    request = {"digest": b64(b"\0" * 32), "signature": body["signature"]}
    with pytest.raises(RekorError, match="does not verify"):
        instance.rekor_v2.add({"hashedRekordRequestV002": request})


def test_a_code_is_exchanged_once_and_only_with_its_verifier() -> None:
    issuer = Instance().issuer
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"verifier").digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code", "code_challenge_method": "S256", "code_challenge": challenge,
        "redirect_uri": "http://localhost/cb", "state": "s", "client_id": "sigstore",
    }  # fmt: skip

    def exchange(code: str, verifier: str) -> dict[str, object]:
        form = {"grant_type": "authorization_code", "redirect_uri": "http://localhost/cb"}
        return issuer.exchange({**form, "code": code, "code_verifier": verifier})

    code = issuer.authorize(query).split("code=")[1].split("&")[0]
    assert issuer.check(str(exchange(code, "verifier")["id_token"]))["email"] == "tester@example.org"
    with pytest.raises(Exception, match="used"):
        exchange(code, "verifier")
    code = issuer.authorize(query).split("code=")[1].split("&")[0]
    with pytest.raises(Exception, match="PKCE"):
        exchange(code, "another verifier")

"""The test instance over plain HTTP on loopback."""

from __future__ import annotations

import atexit
import base64
import functools
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives import serialization
from tests.support.sigstore.instance import Instance
from tests.support.sigstore.x509 import pem

__all__ = ["Server", "shared_server"]

_MAX_BODY = 4 << 20


class Server:
    """An instance that answers on 127.0.0.1; a context manager. Port 0 takes a free one."""

    def __init__(self, port: int = 0) -> None:
        self._http = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self.instance = Instance(self.url)
        self._http.instance = self.instance  # type: ignore[attr-defined]  # how a handler reaches it
        self._thread = threading.Thread(target=self._http.serve_forever, name="test-sigstore", daemon=True)

    def start(self) -> Server:
        """Answer from now on, in a thread."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop answering and free the port."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


@functools.cache
def shared_server() -> Server:
    """One server for a whole test run."""
    server = Server().start()
    atexit.register(server.stop)
    return server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "TestSigstore"

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    @property
    def instance(self) -> Instance:
        instance: Instance = self.server.instance  # type: ignore[attr-defined]  # set by Server
        return instance

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query))
        issuer = self.instance.issuer
        match address.path:
            case "/oidc/.well-known/openid-configuration":
                self._answer(lambda: (200, issuer.discovery()))
            case "/oidc/jwks":
                self._answer(lambda: (200, issuer.jwks()))
            case "/oidc/authorize":
                self._answer(lambda: (302, issuer.authorize(query)))
            case "/oidc/ambient":
                bearer = self.headers.get("Authorization", "")
                self._answer(lambda: (200, issuer.ambient_token(bearer, query["audience"])))
            case "/api/v2/trustBundle":
                chain = [pem(certificate) for certificate in self.instance.fulcio.chain]
                self._answer(lambda: (200, {"chains": [{"certificates": chain}]}))
            case _:
                self._send(404, {"code": 404, "message": "the test instance has no such page"})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > _MAX_BODY:
            self.close_connection = True
            self._send(413, {"code": 413, "message": "too large"})
            return
        body = self.rfile.read(length)
        instance = self.instance
        match self.path:
            case "/oidc/token":
                self._answer(lambda: (200, instance.issuer.exchange(dict(parse_qsl(body.decode())))))
            case "/oidc/mint":  # no real issuer has this: any claims for the asking
                self._answer(lambda: (200, {"id_token": instance.issuer.token(json.loads(body))}))
            case "/api/v2/signingCert":
                self._answer(lambda: (201, self._certificate(json.loads(body))))
            case "/api/v1/log/entries":
                self._answer(lambda: (201, instance.rekor_v1.add(json.loads(body))))
            case "/api/v2/log/entries":
                self._answer(lambda: (201, instance.rekor_v2.add(json.loads(body))))
            case "/api/v1/timestamp":
                self._answer(lambda: (201, instance.tsa.stamp(body)))
            case _:
                self._send(404, {"code": 404, "message": "the test instance has no such service"})

    def _certificate(self, request: dict[str, Any]) -> dict[str, Any]:
        """Fulcio's v2 answer; the token is in the header or among the credentials."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        token = token or request.get("credentials", {}).get("oidcIdentityToken", "")
        if csr := request.get("certificateSigningRequest"):
            chain = self.instance.fulcio.sign_csr(token, base64.b64decode(csr))
        else:
            asked = request["publicKeyRequest"]
            key = serialization.load_pem_public_key(asked["publicKey"]["content"].encode())
            proof = base64.b64decode(asked["proofOfPossession"])
            chain = self.instance.fulcio.sign_public_key(token, key, proof)
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": [pem(one) for one in chain]}}}

    def _answer(self, work: Callable[[], tuple[int, object]]) -> None:
        try:
            status, body = work()
        except Exception as error:  # whatever a client sent that a service refuses is a 400, as in the real one
            self._send(400, {"code": 400, "message": f"{type(error).__name__}: {error}"})
            return
        self._send(status, body)

    def _send(self, status: int, body: object) -> None:
        redirect = status == 302
        raw = b"" if redirect else body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        if redirect:
            self.send_header("Location", str(body))
        self.send_header("Content-Type", "application/timestamp-reply" if body is raw else "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

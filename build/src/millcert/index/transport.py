"""HTTP for hostile servers: bounded bodies, no downgrade, and causes that callers can tell apart."""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from millcert.errors import FetchError
from millcert.index.configuration import ClientConfiguration

__all__ = [
    "AbsentError",
    "InsecureAddressError",
    "OversizeError",
    "Transport",
    "UnavailableError",
    "redacted",
]

_REDIRECTS = (301, 302, 303, 307, 308)
_ABSENT = (404, 410)
_HOPS = 5
_ATTEMPTS = 4
_PIECE = 1 << 16
T = TypeVar("T")


class AbsentError(FetchError):
    """The server answered, and has no such thing."""


class UnavailableError(FetchError):
    """The server could not be reached, failed, or stopped in the middle: whether the thing exists is not known."""


class InsecureAddressError(FetchError):
    """An address, or a redirect's, is not https."""


class OversizeError(FetchError):
    """A body is longer than it may be."""


class Transport:
    """GET with the client's proxies and certificate authorities; retries with back-off what may pass by itself."""

    def __init__(
        self,
        configuration: ClientConfiguration,
        *,
        plain_http: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``plain_http`` is for the Debian mirror, whose every file is checked against a signed list."""
        self._configuration = configuration
        self._plain_http = plain_http
        self._sleep = sleep
        self.clock = clock
        self._session = requests.Session()
        self._session.mount("https://", HTTPAdapter(pool_maxsize=8))
        self._session.mount("http://", HTTPAdapter(pool_maxsize=8))

    def read(
        self, address: str, *, accept: str, limit: int, headers: Mapping[str, str] | None = None
    ) -> tuple[bytes, str, str]:
        """A whole body of at most ``limit`` bytes, its content type and its final address."""
        return self.retrying(lambda: self._read_once(address, {"Accept": accept, **(headers or {})}, limit))

    def _read_once(self, address: str, headers: Mapping[str, str], limit: int) -> tuple[bytes, str, str]:
        with self.open(address, headers) as response:
            body = bytearray()
            for piece in self.pieces(response, decode=True):
                body += piece
                if len(body) > limit:
                    raise OversizeError("the answer is too long", address=redacted(address), limit=limit)
            declared = response.headers.get("Content-Length")
            encoded = response.headers.get("Content-Encoding", "identity") != "identity"
            if declared and not encoded and str(len(body)) != declared:
                raise UnavailableError(
                    "the answer was cut off", address=redacted(address), expected=declared, found=len(body)
                )
            return bytes(body), response.headers.get("Content-Type", ""), str(response.url)

    def size(self, address: str) -> int:
        """The size in bytes that a server declares for a file; FetchError where it declares none."""
        with self.open(address, {}) as response:
            declared: str = response.headers.get("Content-Length", "")
        if not declared.isdigit():
            raise FetchError("the server does not say how large a file is", address=redacted(address))
        return int(declared)

    def retrying(self, attempt: Callable[[], T]) -> T:
        """What ``attempt`` gives, tried again where the server was merely unavailable."""
        for number in range(_ATTEMPTS - 1):
            try:
                return attempt()
            except UnavailableError:
                self._sleep(0.5 * 2**number)
        return attempt()

    def put(self, address: str, body: IO[bytes], headers: Mapping[str, str]) -> bool:
        """Send a file's bytes to an address, once; False where it must be new and something is there (412)."""
        self._check_address(address, address)
        response = self._request("PUT", address, headers, body)
        response.close()
        if response.status_code == 412:
            return False
        if response.status_code not in (200, 201, 204):
            _check_status(response, address)
            raise FetchError("the server did not take the file", address=redacted(address), status=response.status_code)
        return True

    def head(self, address: str, headers: Mapping[str, str]) -> int | None:
        """The size in bytes of what is at an address; None where nothing is, or the server does not say."""
        self._check_address(address, address)
        response = self._request("HEAD", address, headers)
        response.close()
        try:
            _check_status(response, address)
        except AbsentError:
            return None
        declared = response.headers.get("Content-Length", "")
        return int(declared) if declared.isdigit() else None

    @contextlib.contextmanager
    def open(self, address: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        """A response with status 200 or 206, redirects followed; its body not yet read."""
        response = self._follow(address, headers)
        try:
            _check_status(response, address)
            yield response
        finally:
            response.close()

    def _follow(self, address: str, headers: Mapping[str, str]) -> requests.Response:
        start = address
        self._check_address(address, start)
        for _ in range(_HOPS):
            response = self._request("GET", address, headers)
            if response.status_code not in _REDIRECTS:
                return response
            response.close()
            target = urljoin(address, response.headers.get("Location", ""))
            if urlsplit(address).scheme == "https" and urlsplit(target).scheme != "https":
                raise InsecureAddressError(
                    "a redirect from https to something else", address=redacted(start), found=redacted(target)
                )
            self._check_address(target, start)
            address = target
        raise FetchError("too many redirects", address=redacted(start), limit=_HOPS)

    def _check_address(self, address: str, start: str) -> None:
        parts = urlsplit(address)
        if parts.scheme == "https" or (parts.scheme == "http" and (self._plain_http or _loopback(parts.hostname))):
            return
        raise InsecureAddressError(
            "only https is used (plain http only on this machine itself)",
            address=redacted(start), found=redacted(address), fix="configure an https address",
        )  # fmt: skip

    def _request(
        self, method: str, address: str, headers: Mapping[str, str], body: IO[bytes] | None = None
    ) -> requests.Response:
        # identity: sizes and ranges count the bytes that are hashed
        sent = {"User-Agent": "millcert", "Accept-Encoding": "identity", **headers}
        timeout = (min(self._configuration.timeout, 20.0), self._configuration.timeout)
        # given with each request: a session's own setting yields to REQUESTS_CA_BUNDLE
        verify = self._configuration.ca_bundle or True
        try:
            return self._session.request(
                method, address, headers=sent, data=body, stream=True, allow_redirects=False, timeout=timeout,
                verify=verify,
            )  # fmt: skip
        except requests.exceptions.SSLError as error:
            raise InsecureAddressError(
                "the server's certificate is not trusted", address=redacted(address), reason=_cause(error),
                fix="set pip's `cert` or SSL_CERT_FILE to the certificate authority's bundle",
            ) from error  # fmt: skip
        except (requests.ConnectionError, requests.Timeout) as error:
            raise UnavailableError(
                "the server cannot be reached", address=redacted(address), reason=_cause(error)
            ) from error
        except (requests.RequestException, ValueError) as error:
            raise FetchError("the request cannot be made", address=redacted(address), reason=_cause(error)) from error

    def pieces(self, response: requests.Response, *, decode: bool = False) -> Iterator[bytes]:
        """The body as it comes, decompressed only with ``decode``; UnavailableError where the connection breaks."""
        try:
            # read1: what has arrived is passed on at once, so that a broken connection loses nothing of it
            while piece := response.raw.read1(_PIECE, decode_content=decode):
                yield piece
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnavailableError(
                "the connection broke in the middle of a file", address=redacted(response.url), reason=_cause(error)
            ) from error


def _check_status(response: requests.Response, address: str) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    evidence = {"address": redacted(address), "status": f"{status} {response.reason or ''}".strip()}
    if status in _ABSENT:
        raise AbsentError("the server has no such thing", **evidence)
    if status >= 500 or status in (408, 425, 429):
        raise UnavailableError("the server cannot answer now", **evidence, fix="try again later")
    raise FetchError("the server refuses the request", **evidence)


def redacted(address: str) -> str:
    """An address without user name, password and query, fit for a message."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _cause(error: Exception) -> str:
    # requests nests the words that matter, and its own text repeats the address with any credential
    inner: BaseException = error
    while inner.__context__ is not None:
        inner = inner.__context__
    return f"{type(inner).__name__}: {str(inner)[:200]}"

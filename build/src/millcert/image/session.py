"""HTTP to a registry: authentication as the distribution specification's token scheme, causes as typed errors."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from millcert.image.credentials import Credentials
from millcert.image.errors import RegistryError
from millcert.index.transport import redacted

__all__ = ["RegistrySession", "Unavailable"]

_CHALLENGE = re.compile(r'([a-z]+)="([^"]*)"')
_ATTEMPTS = 4
_TIMEOUT = (20.0, 60.0)


class Unavailable(RegistryError):
    """The registry could not be reached, failed, or broke off: the same request may pass later."""


class RegistrySession:
    """Requests to one registry; a 401 is answered once with a token or a password."""

    def __init__(self, credentials: Credentials, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._session = requests.Session()
        self._credentials, self._sleep = credentials, sleep
        self._authorization: dict[str, str] = {}

    def request(self, method: str, address: str, **options: Any) -> requests.Response:
        """A response below 500, whatever it says; Unavailable for anything less."""
        response = self._once(method, address, **options)
        if response.status_code == 401 and self._authenticate(address, response):
            response = self._once(method, address, **options)
        if response.status_code >= 500 or response.status_code in (408, 429):
            raise Unavailable(
                "the registry cannot answer now", address=redacted(address), status=response.status_code,
                fix="run the same command again: what is pushed is not pushed twice",
            )  # fmt: skip
        return response

    def retrying(self, attempt: Callable[[], Any]) -> Any:
        """What ``attempt`` gives, tried again where the registry was merely unavailable."""
        for number in range(_ATTEMPTS - 1):
            try:
                return attempt()
            except Unavailable:
                self._sleep(0.5 * 2**number)
        return attempt()

    def _once(self, method: str, address: str, **options: Any) -> requests.Response:
        headers = {"User-Agent": "millcert", "Accept-Encoding": "identity", **options.pop("headers", {})}
        host = urlsplit(address).netloc
        if token := self._authorization.get(host):
            headers["Authorization"] = token
        try:
            return self._session.request(method, address, headers=headers, timeout=_TIMEOUT, **options)
        except requests.exceptions.SSLError as error:
            raise RegistryError("the registry's certificate is not trusted", address=redacted(address)) from error
        except (requests.RequestException, OSError) as error:
            raise Unavailable(
                "the registry cannot be reached, or broke off", address=redacted(address), reason=type(error).__name__,
                fix="run the same command again: what is pushed is not pushed twice",
            ) from error  # fmt: skip

    def _authenticate(self, address: str, response: requests.Response) -> bool:
        host = urlsplit(address).netloc
        known = self._credentials(host)
        scheme, _, rest = response.headers.get("WWW-Authenticate", "").partition(" ")
        if scheme.lower() == "basic" and known:
            self._authorization[host] = str(requests.auth._basic_auth_str(*known))
            return True
        fields = dict(_CHALLENGE.findall(rest))
        if scheme.lower() != "bearer" or "realm" not in fields:
            return False
        realm = urljoin(address, fields.pop("realm"))
        if urlsplit(realm).scheme != "https" and urlsplit(address).scheme == "https":
            raise RegistryError("the registry asks to log in over plain http", realm=redacted(realm))
        query = {key: value for key, value in fields.items() if key in ("service", "scope")}
        answer = self._session.get(realm, params=query, auth=known, timeout=_TIMEOUT)
        token = _token(answer)
        if token:
            self._authorization[host] = f"Bearer {token}"
        return bool(token)


def _token(answer: requests.Response) -> str:
    try:
        document: Mapping[str, Any] = answer.json()
        return str(document.get("token") or document.get("access_token") or "")
    except (ValueError, AttributeError):
        return ""

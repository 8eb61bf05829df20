"""Registry credentials: what `docker login` or `podman login` left on this machine; nothing is ever stored or shown."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

__all__ = ["Credentials", "machine_credentials"]

Credentials = Callable[[str], tuple[str, str] | None]  # host → user name and password


def machine_credentials(environ: Mapping[str, str]) -> Credentials:
    """Credentials by host from the ``auths`` of the usual files; unreadable files count as absent."""

    def find(host: str) -> tuple[str, str] | None:
        for path in _files(environ):
            try:
                entry = json.loads(path.read_bytes()).get("auths", {}).get(host, {})
                user, colon, password = base64.b64decode(entry.get("auth", "")).decode().partition(":")
            except (OSError, ValueError, AttributeError, TypeError, binascii.Error):
                continue
            if colon:
                return user, password
        return None

    return find


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    if chosen := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(chosen)
    if folder := environ.get("XDG_RUNTIME_DIR"):
        yield Path(folder) / "containers" / "auth.json"
    home = environ.get("HOME", "")
    yield Path(environ.get("DOCKER_CONFIG") or f"{home}/.docker") / "config.json"

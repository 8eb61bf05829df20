"""Where indexes are: taken at run time from the client's own configuration, never written into a file.

``pypi`` is whatever pip on this machine is configured to use, else pip's built-in default. Another
index, say ``wootz``, has its address in ``MILLCERT_INDEX_WOOTZ``.
"""

from __future__ import annotations

import ast
import os
import ssl
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from millcert.errors import ConfigError

__all__ = ["ClientConfiguration", "read_configuration"]

UPSTREAM = "pypi"
_MERGING = ("extra-index-url", "find-links", "trusted-host", "no-index")


@dataclass(frozen=True)
class ClientConfiguration:
    """What of the machine's configuration matters; ``ignored`` names the settings that could mix indexes."""

    upstream: str = field(repr=False)  # may hold a credential
    ca_bundle: str | None = None
    timeout: float = 30.0
    ignored: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def address(self, index: str) -> str:
        """The address of a named index, with a slash at its end; ConfigError where none is configured."""
        variable = "MILLCERT_INDEX_" + index.upper().replace("-", "_")
        address = self.upstream if index == UPSTREAM else self.environ.get(variable)
        if not address:
            raise ConfigError("no address is configured for this index", index=index, fix=f"set {variable}")
        return address.rstrip("/") + "/"


def read_configuration(environ: Mapping[str, str]) -> ClientConfiguration:
    """Ask pip for its configuration as a command of the user would see it."""
    settings = _pip_settings(environ)
    return ClientConfiguration(
        upstream=settings.get("index-url") or _built_in_default(),
        ca_bundle=_ca_bundle(settings, environ),
        timeout=float(settings.get("default-timeout") or settings.get("timeout") or 30.0),
        ignored=tuple(name for name in _MERGING if settings.get(name)),
        environ=environ,
    )


def _pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    # -I: the current folder, or PYTHONPATH, may hold a file called pip.py
    command = [sys.executable, "-I", "-m", "pip", "config", "list"]
    quiet = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    result = subprocess.run(command, env={**environ, **quiet}, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ConfigError("pip cannot read its own configuration", reason=result.stderr.strip()[-400:])
    found: dict[str, dict[str, str]] = {}
    for line in result.stdout.splitlines():
        key, equals, value = line.partition("=")
        section, _, option = key.rpartition(".")
        if equals and section in ("global", "install", ":env:"):
            found.setdefault(section, {})[option] = str(ast.literal_eval(value))
    # pip's own precedence: the environment beats a command's section, which beats [global]
    return {**found.get("global", {}), **found.get("install", {}), **found.get(":env:", {})}


def _built_in_default() -> str:
    from pip._internal.models.index import PyPI  # the one place where pip keeps its default

    return str(PyPI.simple_url)


def _ca_bundle(settings: Mapping[str, str], environ: Mapping[str, str]) -> str | None:
    for chosen in (settings.get("cert"), *(environ.get(name) for name in _BUNDLES)):
        if chosen:
            return chosen
    system = ssl.get_default_verify_paths().cafile
    return system if system and os.path.isfile(system) else None  # noqa: PTH113 - a plain string from ssl


_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")

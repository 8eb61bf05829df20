"""Addresses as they stand in configuration: what they point at, and a form of them that is fit for a report."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

__all__ = ["Address", "parse_address"]

_SCHEMES = ("http", "https", "ftp", "file")


@dataclass(frozen=True)
class Address:
    """One index address or link folder; ``shown`` carries no credential, query or control character."""

    scheme: str
    host: str
    shown: str
    credential: bool

    @property
    def remote(self) -> bool:
        """Whether it is reached over a network."""
        return self.scheme in ("http", "https", "ftp") and not self.loopback

    @property
    def loopback(self) -> bool:
        """Whether it is on this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def plain(self) -> bool:
        """Whether anybody on the way can change what it sends."""
        return self.scheme in ("http", "ftp") and not self.loopback

    def same_as(self, other: Address) -> bool:
        """Whether both are one index."""
        return self.shown.rstrip("/") == other.shown.rstrip("/")

    def under(self, base: Address) -> bool:
        """Whether it lies at or below another address."""
        return f"{self.shown.rstrip('/')}/".startswith(f"{base.shown.rstrip('/')}/")


def parse_address(text: str) -> Address:
    """Any text as an address: never fails, since what stands in a file may be anything."""
    text = "".join(character for character in text.strip() if character.isprintable())
    for version_control in ("git+", "hg+", "svn+", "bzr+"):
        text = text.removeprefix(version_control)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return Address("", "", text.rpartition("@")[2][:200], "@" in text)
    if parts.scheme not in _SCHEMES:
        return Address("path", "", text.rpartition("@")[2][:200], False)
    shown = SplitResult(parts.scheme, f"{host}:{port}" if port else host, parts.path, "", "").geturl()
    return Address(parts.scheme, host, shown[:400], parts.password is not None)

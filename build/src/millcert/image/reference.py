"""Names of images in registries: ``host[:port]/repository[:tag][@sha256:...]`` (distribution-spec 1.1)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from millcert.errors import UsageError
from millcert.model import Digest, parse_digest

__all__ = ["Reference", "parse_reference"]

_REFERENCE = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(?::[0-9]{1,5})?|\[[0-9a-fA-F:]+\](?::[0-9]{1,5})?)"
    r"/(?P<repository>[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class Reference:
    """A repository, and in it a tag, a digest, both or neither."""

    host: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @property
    def base(self) -> str:
        """The address of the repository; plain HTTP on this machine alone."""
        scheme = "http" if _loopback(self.host) else "https"
        return f"{scheme}://{self.host}/v2/{self.repository}"

    @property
    def wanted(self) -> str:
        """What to ask the registry for: the digest if there is one."""
        return f"sha256:{self.digest}" if self.digest else self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.repository}{tag}" + (f"@sha256:{self.digest}" if self.digest else "")


def parse_reference(text: str) -> Reference:
    """A reference from its text; UsageError for anything else. There is no default registry: the host is part of it."""
    match = _REFERENCE.fullmatch(text)
    host = match["host"] if match else ""
    if match is None or not ("." in host or ":" in host or host == "localhost"):
        raise UsageError("not an image reference", found=text[:200], expected="registry/repository[:tag][@sha256:…]")
    return Reference(
        host, match["repository"], match["tag"] or "", parse_digest(match["digest"]) if match["digest"] else None
    )


def _loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if re.search(r":[0-9]+$", host) else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False

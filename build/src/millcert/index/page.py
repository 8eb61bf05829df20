"""A project's page on a Simple API index: PEP 691 JSON, or PEP 503 HTML where an index has nothing better."""

from __future__ import annotations

import html.parser
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from millcert.errors import ConfigError, FetchError
from millcert.model import Digest, parse_digest
from millcert.names import NormalizedName, normalize

__all__ = ["ACCEPT", "IndexFile", "MalformedPageError", "ProjectPage", "Reservation", "parse_page"]

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_JSON = "application/vnd.pypi.simple.v1+json"
_HTML = ("application/vnd.pypi.simple.v1+html", "text/html")


class MalformedPageError(FetchError):
    """What an index sent is not a project page."""


@dataclass(frozen=True)
class IndexFile:
    """One file an index lists; ``sha256`` and ``size`` where the index says them."""

    filename: str
    url: str
    sha256: Digest | None = None
    size: int | None = None
    yanked: bool = False


@dataclass(frozen=True)
class Reservation:
    """The reserved prefix that a project is below (PEP 752): whether its owner holds it, and whether all may use it."""

    prefix: NormalizedName
    authorized: bool
    open: bool


@dataclass(frozen=True)
class ProjectPage:
    """All files that one index lists for one project; ``tells``: whether the index knows of reservations at all."""

    name: NormalizedName
    index: str
    files: tuple[IndexFile, ...]
    tells: bool = False
    reservation: Reservation | None = None

    def file(self, filename: str) -> IndexFile | None:
        """The file of that name, or None."""
        return next((file for file in self.files if file.filename == filename), None)


def parse_page(data: bytes, content_type: str, *, name: NormalizedName, index: str, address: str) -> ProjectPage:
    """A page from its bytes; relative links are resolved against ``address``.

    Raises MalformedPageError (source: the Simple repository API specification, PEP 503, 691, 700, 752). What would send
    a client to another index (PEP 708, rejected) is not read.
    """
    kind = content_type.partition(";")[0].strip().lower()
    tells, reservation = False, None
    try:
        if kind == _JSON:
            document = _document(data, name)
            files = tuple(_json_file(fields, address) for fields in document["files"])
            tells, reservation = "namespace" in document, _reservation(document.get("namespace"))
        elif kind in _HTML:
            files = _from_html(data, address)
        else:
            raise ValueError(f"content type {kind or 'missing'!r}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ConfigError) as error:
        raise MalformedPageError("the index sent no project page", index=index, name=name, reason=error) from error
    _check_unique(files, name, index)
    return ProjectPage(name, index, files, tells, reservation)


def _document(data: bytes, name: NormalizedName) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(data)
    version = str(document["meta"]["api-version"])
    if version.partition(".")[0] != "1":
        raise ValueError(f"Simple API version {version!r}, expected 1.x")
    if normalize(document["name"]) != name:
        raise ValueError(f"a page of {document['name']!r}")
    return document


def _reservation(fields: Mapping[str, object] | None) -> Reservation | None:
    if fields is None:
        return None
    authorized, opened = fields["authorized"], fields["open"]
    if not isinstance(authorized, bool) or not isinstance(opened, bool):
        raise ValueError("a reservation that does not say whose it is")
    return Reservation(normalize(str(fields["prefix"])), authorized, opened)


def _json_file(fields: Mapping[str, object], address: str) -> IndexFile:
    hashes = fields["hashes"]
    if not isinstance(hashes, dict):
        raise ValueError("hashes are not a table")
    sha256 = hashes.get("sha256")
    size = fields.get("size")
    if size is not None and (not isinstance(size, int) or size < 0):
        raise ValueError(f"size {size!r}")
    return IndexFile(
        _filename(str(fields["filename"])), _link(address, str(fields["url"])),
        None if sha256 is None else parse_digest(str(sha256)), size, fields.get("yanked", False) is not False,
    )  # fmt: skip


def _filename(name: str) -> str:
    if not name or "/" in name or "\\" in name or name.startswith(".") or not name.isprintable():
        raise ValueError(f"file name {name!r}")
    return name


def _link(address: str, reference: str) -> str:
    link = urljoin(address, reference)
    if urlsplit(link).scheme not in ("http", "https"):
        raise ValueError(f"a link with scheme {urlsplit(link).scheme!r}")
    return link


class _Anchors(html.parser.HTMLParser):
    """Collects the links of a PEP 503 page; the link text is not needed, the path's end names the file."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.files: list[IndexFile] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        reference = attributes.get("href")
        if reference is None:
            return
        if tag == "base":
            self.address = _link(self.address, reference)
        elif tag == "a":
            link = urlsplit(_link(self.address, reference))
            algorithm, _, value = link.fragment.partition("=")
            file = IndexFile(
                _filename(unquote(link.path.rpartition("/")[2])), link._replace(fragment="").geturl(),
                yanked="data-yanked" in attributes,
            )  # fmt: skip
            self.files.append(replace(file, sha256=parse_digest(value)) if algorithm == "sha256" else file)


def _from_html(data: bytes, address: str) -> tuple[IndexFile, ...]:
    parser = _Anchors(address)
    parser.feed(data.decode("utf-8"))
    parser.close()
    return tuple(parser.files)


def _check_unique(files: tuple[IndexFile, ...], name: NormalizedName, index: str) -> None:
    seen: dict[str, IndexFile] = {}
    for file in files:
        other = seen.setdefault(file.filename, file)
        if other.sha256 != file.sha256:
            raise MalformedPageError(
                "the index lists one file name with two hashes",
                index=index, name=name, file=file.filename, first=other.sha256, second=file.sha256,
            )  # fmt: skip

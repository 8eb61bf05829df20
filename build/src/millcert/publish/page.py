"""A project's page in PEP 691 JSON, the form that is signed; everything else is derived from it.

API version 1.4: PEP 691 with sizes, versions and upload times (700), core metadata (658, 714), yanks (592),
provenance (740) and project status (792). What those have no field for is under ``_millcert``, which PEP 700
reserves for the index itself: bundles, SBOM, SLSA provenance and ``pylock.toml``, each with its sha256 and size.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args
from urllib.parse import quote

from packaging.utils import parse_wheel_filename
from packaging.version import Version

from millcert.errors import ConfigError
from millcert.model import Digest, canonical_json, parse_digest
from millcert.names import NormalizedName, normalize
from millcert.publish.errors import SiteStateError

__all__ = [
    "Page",
    "PageFile",
    "Pinned",
    "Status",
    "page_path",
    "parse_page",
    "project_list",
    "relative_url",
    "retired_path",
]

API_VERSION = "1.4"
Status = Literal["active", "archived", "quarantined", "deprecated"]
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True)
class Pinned:
    """A file that a page pins: where it is, its sha256 and its size in bytes."""

    url: str
    digest: Digest
    size: int

    def as_dict(self) -> dict[str, object]:
        """The pin as the page holds it."""
        return {"url": self.url, "sha256": self.digest, "size": self.size}


@dataclass(frozen=True)
class PageFile:
    """One wheel on a page; ``evidence`` is the ``_millcert`` table, ``metadata`` the sha256 of its core metadata."""

    filename: str
    url: str
    digest: Digest
    size: int
    uploaded: datetime
    requires_python: str = ""
    metadata: Digest | None = None
    yanked: str = ""
    provenance: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> Version:
        """The version in the file's name."""
        return parse_wheel_filename(self.filename)[1]

    def as_dict(self) -> dict[str, object]:
        """The file as PEP 691 writes it."""
        fields: dict[str, object] = {
            "filename": self.filename, "url": self.url, "hashes": {"sha256": self.digest}, "size": self.size,
            "upload-time": self.uploaded.astimezone(UTC).strftime(_TIME), "yanked": self.yanked or False,
        }  # fmt: skip
        if self.requires_python:
            fields["requires-python"] = self.requires_python
        if self.metadata:
            fields |= {"core-metadata": {"sha256": self.metadata}, "dist-info-metadata": {"sha256": self.metadata}}
        if self.provenance:
            fields["provenance"] = self.provenance
        return fields | ({"_millcert": dict(self.evidence)} if self.evidence else {})


@dataclass(frozen=True)
class Page:
    """A project's files in one index, its status, and, while it is quarantined, the files that are held back."""

    name: NormalizedName
    files: tuple[PageFile, ...] = ()
    status: Status = "active"
    reason: str = ""
    withheld: tuple[PageFile, ...] = ()

    def file(self, filename: str) -> PageFile | None:
        """The file of that name, listed or held back."""
        return next((file for file in (*self.files, *self.withheld) if file.filename == filename), None)

    def with_files(self, files: Iterable[PageFile]) -> Page:
        """The page with more files, or with other entries for the same file names."""
        merged = {file.filename: file for file in (*self.files, *files)}
        return replace(self, files=tuple(merged.values()))

    def with_status(self, status: str, reason: str) -> Page:
        """The page in another status; a quarantined project offers no files, and gets them back later."""
        if status not in get_args(Status):
            raise ConfigError("not a project status", found=status, expected=", ".join(get_args(Status)))
        files = (*self.files, *self.withheld)
        held = status == "quarantined"
        return Page(self.name, () if held else files, status, reason, files if held else ())  # type: ignore[arg-type]  # checked above

    def to_bytes(self) -> bytes:
        """The canonical JSON; the same page gives the same bytes."""
        files = sorted(self.files, key=lambda file: (file.version, file.filename))
        versions = list(dict.fromkeys(str(file.version) for file in files))
        fields: dict[str, object] = {
            "meta": {"api-version": API_VERSION}, "name": self.name, "versions": versions,
            "project-status": {"status": self.status} | ({"reason": self.reason} if self.reason else {}),
            "files": [file.as_dict() for file in files],
        }  # fmt: skip
        held = sorted(self.withheld, key=lambda file: (file.version, file.filename))
        return canonical_json(fields | ({"_withheld": [file.as_dict() for file in held]} if held else {}))


def parse_page(data: bytes) -> Page:
    """A page from bytes that the index signed; SiteStateError where it is not one of ours."""
    try:
        fields = json.loads(data)
        status = fields["project-status"]
        page = Page(normalize(fields["name"]), tuple(_file(file) for file in fields["files"]))
        page = replace(page, withheld=tuple(_file(file) for file in fields.get("_withheld", ())))
        return replace(page, status=status["status"], reason=str(status.get("reason", "")))
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise SiteStateError("a page that this publisher did not write", reason=error) from error


def project_list(names: Iterable[NormalizedName], lock: Digest | None) -> bytes:
    """The list of an index's projects; it also says which lock the third-party pages follow."""
    fields: dict[str, object] = {
        "meta": {"api-version": API_VERSION}, "projects": [{"name": name} for name in sorted(set(names))],
    }  # fmt: skip
    return canonical_json(fields | ({"_millcert": {"lock": lock}} if lock else {}))


def page_path(index: str, name: NormalizedName | None = None) -> str:
    """Where a project's page (or the list of projects) is signed."""
    return f"{index}/{name}/index.json" if name else f"{index}/index.json"


def retired_path(index: str, name: NormalizedName, file: PageFile) -> str:
    """The page that a retired file moves to: one for each month of upload, so that no page grows for ever."""
    return f"{index}/{name}/retired-{file.uploaded.astimezone(UTC):%Y-%m}.json"


def relative_url(folder: str, path: str) -> str:
    """The address of a path of the site, as seen from one of its folders."""
    return "../" * len(folder.split("/")) + quote(path)


def _file(fields: Mapping[str, Any]) -> PageFile:
    metadata = fields.get("core-metadata")
    return PageFile(
        str(fields["filename"]), str(fields["url"]), parse_digest(fields["hashes"]["sha256"]), int(fields["size"]),
        datetime.strptime(fields["upload-time"], _TIME).replace(tzinfo=UTC), str(fields.get("requires-python", "")),
        parse_digest(metadata["sha256"]) if metadata else None, str(fields["yanked"] or ""),
        str(fields.get("provenance", "")), fields.get("_millcert", {}),
    )  # fmt: skip

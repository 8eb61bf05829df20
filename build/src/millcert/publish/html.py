"""The HTML form of a page, derived from its JSON and from nothing else (PEP 503, 592, 629, 658/714, 740, 792)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

__all__ = ["render_html"]

_FILE_ATTRIBUTES = ("requires-python", "provenance")


def render_html(page: bytes) -> bytes:
    """The HTML of a JSON page: a project's files, or an index's projects."""
    document = json.loads(page)
    head = [f'<meta name="pypi:repository-version" content="{escape(document["meta"]["api-version"])}">']
    for key, value in document.get("project-status", {}).items():
        name = "pypi:project-status" if key == "status" else f"pypi:project-status-{key}"
        head.append(f'<meta name="{escape(name)}" content="{escape(value)}">')
    if "projects" in document:
        title = "Index"
        body = [_link(f"{project['name']}/", project["name"], "") for project in document["projects"]]
    else:
        title = document["name"]
        body = [_link(_address(file), file["filename"], _attributes(file)) for file in document["files"]]
    lines = ["<!DOCTYPE html>", "<html>", "<head>", *head, f"<title>{escape(title)}</title>", "</head>", "<body>"]
    return "\n".join([*lines, *body, "</body>", "</html>", ""]).encode()


def _link(address: str, text: str, attributes: str) -> str:
    return f'<a href="{escape(address)}"{attributes}>{escape(text)}</a><br>'


def _address(file: Mapping[str, Any]) -> str:
    return f"{file['url']}#sha256={file['hashes']['sha256']}"


def _attributes(file: Mapping[str, Any]) -> str:
    found = {f"data-{name}": file[name] for name in _FILE_ATTRIBUTES if file.get(name)}
    if metadata := file.get("core-metadata"):
        found |= {f"data-{name}": f"sha256={metadata['sha256']}" for name in ("core-metadata", "dist-info-metadata")}
    if yanked := file.get("yanked"):
        found["data-yanked"] = "" if yanked is True else yanked
    return "".join(f' {name}="{escape(value)}"' for name, value in found.items())

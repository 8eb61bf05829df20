"""Views: what clients without TUF read, derived from signed pages and never read back.

The journal names the pages whose views are due. It is no more trusted than the rest of the tree: the views
themselves are always derived from pages that were verified.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from millcert.model import canonical_json, digest_of
from millcert.publish.errors import SiteStateError
from millcert.publish.html import render_html
from millcert.publish.page import parse_page
from millcert.publish.site import PRIVATE, Site
from millcert.publish.state import State, load_state

__all__ = ["finish_views", "stored_path", "views_of", "write_all_views", "write_journal", "write_views"]

_JOURNAL = f"{PRIVATE}/journal.json"


def stored_path(path: str, data: bytes) -> str:
    """Where a page's bytes are stored for good: its name with their sha256 before it, as TUF clients ask for it."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{digest_of(data)}.{name}"


def views_of(site: Site, path: str, page: bytes, before: bytes | None) -> dict[str, bytes]:
    """The views of a page that changed: HTML, JSON, and the ``pylock.toml`` of releases that are new on it."""
    views = {f"{path.removesuffix('.json')}.html": render_html(page), path: page}
    if "projects" in json.loads(page):
        return views
    known = {file.filename: file.evidence.get("pylock") for file in parse_page(before).files} if before else {}
    folder = path.rpartition("/")[0]
    files = parse_page(page).files
    for file in files:
        pin = file.evidence.get("pylock")
        if pin is None or known.get(file.filename) == pin:
            continue
        lock = site.read(f"{folder}/{pin['sha256']}/pylock.toml")
        if lock is None or digest_of(lock) != pin["sha256"]:
            raise SiteStateError("a lock that a page pins is missing or altered", page=path, sha256=pin["sha256"])
        views[f"{folder}/{file.version}/pylock.toml"] = lock
        if path.endswith("/index.json") and file.version == max(one.version for one in files):
            views[f"{folder}/latest/pylock.toml"] = lock
    return views


def write_journal(site: Site, timestamp: bytes, pages: Iterable[str]) -> None:
    """Note, before the switch to a timestamp, which pages' views are due after it."""
    site.replace(_JOURNAL, canonical_json({"timestamp": digest_of(timestamp), "pages": sorted(pages)}))


def write_views(site: Site, views: Mapping[str, bytes]) -> None:
    """Replace views, in their order, and close the journal."""
    for path, data in views.items():
        site.replace(path, data)
    site.remove(_JOURNAL)


def finish_views(state: State) -> None:
    """Bring views up to the state in force, where the run that put it there did not; the caller holds the lock."""
    if (data := state.site.read(_JOURNAL)) is None:
        return
    try:
        journal = json.loads(data)
        # a journal of another timestamp is of a run that died, or lost a race, before its switch
        pages = list(journal["pages"]) if journal["timestamp"] == digest_of(state.timestamp_bytes) else []
    except (ValueError, KeyError, TypeError) as error:
        raise SiteStateError(
            "the journal is damaged", file=_JOURNAL, reason=error, fix="remove it, then run `millcert index views`"
        ) from error
    write_views(state.site, _all_views(state, pages))


def write_all_views(site: Site, trusted_root: bytes) -> int:
    """Derive every view again, as after a damaged or lost one; returns how many were written."""
    with site.locked():
        state = load_state(site, trusted_root)
        names = [name.removesuffix(".json") for name in state.snapshot.signed.meta]
        views = _all_views(state, (path for name in names for path in state.role(name).signed.targets))
        write_views(site, views)
    return len(views)


def _all_views(state: State, pages: Iterable[str]) -> dict[str, bytes]:
    views: dict[str, bytes] = {}
    for path in sorted(pages):
        if (page := state.page(path)) is None:
            raise SiteStateError("the index has no such page", page=path)
        views |= views_of(state.site, path, page, None)
    return views

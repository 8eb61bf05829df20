"""Where rebuilds work: a folder for each, which an interrupted rebuild leaves to the next one that asks for the same.

Which folder that is stands in the store, which is the user's own. The folders lie in shared places, where a name that
could be guessed could be somebody else's.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from millcert.model import canonical_json, digest_of
from millcert.rebuild.outside import Outside
from millcert.rebuild.run import Request
from millcert.store import Store

__all__ = ["Scratch"]


class Scratch:
    """The folders of one request's rebuilds, on the file systems that their surroundings ask for."""

    def __init__(self, store: Store, request: Request, default: Path) -> None:
        asked = [request.commit, *request.variants, "", *request.architectures, "", *request.reused, str(default)]
        name = digest_of(canonical_json([str(request.repository), request.remote, *asked]))[:32]
        self._note, self._default = store.root / "tmp" / f"rebuilds-{name}.json", default
        self._known = self._read()

    def folder(self, name: str, outside: Outside) -> Path:
        """The folder of one rebuild: what an interrupted one under the same surroundings left, or a new one."""
        key = f"{name} {digest_of(repr(outside).encode())}"
        left = self._known.get(key)
        if left and _identity(Path(left[0])) == left[1:]:
            return Path(left[0])
        made = Path(tempfile.mkdtemp(prefix="millcert-repro-", dir=outside.parent or self._default))
        self._known[key] = [str(made), *_identity(made)]
        self._note.write_bytes(canonical_json(self._known))
        return made

    def remove(self) -> None:
        """Remove every folder, and the note of them."""
        for path, *identity in self._known.values():
            if _identity(Path(path)) == identity:
                shutil.rmtree(path, ignore_errors=True)
        self._note.unlink(missing_ok=True)

    def _read(self) -> dict[str, list[str]]:
        try:
            return dict(json.loads(self._note.read_bytes()))
        except (FileNotFoundError, ValueError):
            return {}


def _identity(folder: Path) -> list[str]:
    """Device and inode of a folder, or nothing: another one of the same name is another folder."""
    try:
        state = folder.lstat()
    except OSError:
        return []
    return [str(state.st_dev), str(state.st_ino)]

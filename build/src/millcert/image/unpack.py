"""Unpacking Debian packages for an image: their files, and beside them which package each file is from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from millcert import debian
from millcert.errors import ConfigError, UnsafeArchiveError

__all__ = ["unpack_package"]


def unpack_package(deb: Path, into: Path, exclude: Sequence[str] = ()) -> None:
    """Unpack one package to ``root``, and write ``packages/NAME/control`` and ``packages/NAME/files`` beside it.

    Nothing can be excluded here: what an image leaves out is left out, and reported, when its layer is packed.
    Raises UnsafeArchiveError as ``debian.unpack`` does, and where a path differs from another package's only in case.
    """
    if exclude:
        raise ConfigError("a package for an image is unpacked whole", found=", ".join(exclude))
    root = into / "root"
    root.mkdir(exist_ok=True)
    before = _paths(root)
    control = debian.unpack(deb, root)
    folded = {path.casefold(): path for path in before}
    new = sorted(_paths(root) - before)
    for path in new:
        if path.casefold() in folded:
            raise UnsafeArchiveError(
                "two packages with paths that differ only in case",
                file=deb.name, path=path, other=folded[path.casefold()],
            )  # fmt: skip
    record = into / "packages" / control.package
    if record.exists():
        raise UnsafeArchiveError("one package twice", file=deb.name, package=control.package)
    record.mkdir(parents=True)
    (record / "control").write_text(control.text.rstrip("\n") + "\n", encoding="utf-8")
    (record / "files").write_text("".join(f"{path}\n" for path in new), encoding="utf-8")


def _paths(root: Path) -> set[str]:
    """Every path below a folder that is not a folder itself."""
    found: set[str] = set()
    for base, folders, files in os.walk(root):
        links = [name for name in folders if (Path(base) / name).is_symlink()]
        found |= {(Path(base) / name).relative_to(root).as_posix() for name in [*files, *links]}
    return found

"""Distributions that hold an owned name on an index where nothing of ours is published.

The wheel installs a module that raises on import and says where the project really is; the sdist says the same
instead of building. The same name and homepage give the same bytes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import keyword
import re
import sys
import tarfile
import zipfile
from dataclasses import dataclass

from millcert.errors import ConfusionError, UsageError
from millcert.guard.policy import Answer, Presence
from millcert.lock.namespaces import Namespaces
from millcert.names import NormalizedName

__all__ = ["VERSION", "Reservation", "check_free", "reserve"]

VERSION = "0.0.0"  # never higher than anything that is real
_MOMENT = (1980, 1, 1, 0, 0, 0)  # the oldest time a zip can hold
_EPOCH = 315532800
_HOMEPAGE = re.compile(r"https://[A-Za-z0-9._~:/?#@!$&()*+,;=%-]{1,200}")


@dataclass(frozen=True)
class Reservation:
    """The two files that hold a name."""

    name: NormalizedName
    sdist: tuple[str, bytes]
    wheel: tuple[str, bytes]


def check_free(namespaces: Namespaces, name: NormalizedName, index: str, answer: Answer) -> None:
    """Whether a name may be held on an index: ours, and absent there.

    Raises UsageError for a name that is not ours, or on its own index; ConfusionError where the index has such a
    project, or gave no answer.
    """
    home = namespaces.index_of(name)
    if home == namespaces.upstream:
        raise UsageError("only owned names are held", found=name, fix="add it to lockfiles/namespaces.toml")
    if home == index:
        raise UsageError("a name is not held on its own index: publish the project", found=name, index=index)
    if answer.presence is Presence.PRESENT:
        raise ConfusionError(
            "the index has a project of that name already", name=name, index=index, found=answer,
            fix="find out whose it is; claim it (PEP 541) if it is not yours",
        )  # fmt: skip
    if answer.presence is Presence.UNAVAILABLE:
        raise ConfusionError(
            "the index did not say whether it has a project of that name", name=name, index=index, found=answer,
            fix="try again when it answers",
        )  # fmt: skip


def reserve(name: NormalizedName, homepage: str = "") -> Reservation:
    """The sdist and wheel that hold a name; UsageError where its module would hide one of Python's own."""
    module = name.replace("-", "_")
    if module in sys.stdlib_module_names or keyword.iskeyword(module) or not module.isidentifier():
        raise UsageError("a module of that name cannot be held", found=module)
    if homepage and not _HOMEPAGE.fullmatch(homepage):
        raise UsageError("not a homepage", found=homepage, expected="an https address")
    metadata = _metadata(name, homepage)
    stem = f"{module}-{VERSION}"
    source = _module(name, homepage).encode()
    sdist = {
        "PKG-INFO": metadata,
        "pyproject.toml": _pyproject(name, homepage).encode(),
        "held.py": _backend(name, homepage).encode(),
    }
    wheel = _wheel(stem, module, source, metadata)
    return Reservation(name, (f"{stem}.tar.gz", _tar(stem, sdist)), (f"{stem}-py3-none-any.whl", wheel))


def _text(name: str, homepage: str) -> str:
    where = f" See {homepage} for how to install it." if homepage else ""
    return f"{name} is not distributed on this index; this project only holds its name.{where}"


def _module(name: str, homepage: str) -> str:
    return f'"""Holds a name."""\n\nraise ImportError({_text(name, homepage)!r}, name=__name__)\n'


def _metadata(name: str, homepage: str) -> bytes:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {VERSION}", f"Summary: Holds the name {name}"]
    if homepage:
        lines.append(f"Project-URL: Homepage, {homepage}")
    lines += ["Classifier: Development Status :: 7 - Inactive", "Description-Content-Type: text/plain", ""]
    return "\n".join([*lines, _text(name, homepage), ""]).encode()


def _backend(name: str, homepage: str) -> str:
    refusal = f"raise RuntimeError({_text(name, homepage)!r})"
    return f'"""Builds nothing."""\n\n\ndef build_wheel(*_: object, **__: object) -> str:\n    {refusal}\n'


def _pyproject(name: str, homepage: str) -> str:
    urls = f'urls = {{ Homepage = "{homepage}" }}\n' if homepage else ""
    return (
        '[build-system]\nrequires = []\nbuild-backend = "held"\nbackend-path = ["."]\n\n'
        f'[project]\nname = "{name}"\nversion = "{VERSION}"\ndescription = "Holds the name {name}"\n{urls}'
    )


def _wheel(stem: str, module: str, source: bytes, metadata: bytes) -> bytes:
    info = f"{stem}.dist-info"
    files = {
        f"{module}.py": source,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: millcert\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_hash(data)},{len(data)}\n" for path, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path, _MOMENT)
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3
            archive.writestr(entry, data)
    return buffer.getvalue()


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _tar(stem: str, files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo(f"{stem}/{path}")
            entry.size, entry.mode, entry.mtime = len(data), 0o644, _EPOCH
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), 0, mtime=_EPOCH)  # stored: zlib versions compress differently

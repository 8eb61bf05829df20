"""The pinned toolchain: build root, compiler and CUDA compilers, each an import of locked archives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from millcert import debian, lock
from millcert.hermetic.derivation import Import, Material
from millcert.model import Digest
from millcert.targets import Variant

__all__ = ["Toolchain", "material_of_deb", "material_of_wheel", "toolchain_of"]


# zig carries the C libraries of every system; a build for Linux with glibc reads a quarter of its 19,500 files
_OTHER_SYSTEMS = (
    *(f"ziglang/lib/libc/{system}/*" for system in ("darwin", "freebsd", "mingw", "musl", "netbsd", "openbsd", "wasi")),
    *(f"ziglang/lib/libc/include/*{system}*" for system in ("bsd", "darwin", "musl", "wasi", "windows")),
    "ziglang/lib/docs/*",
    "ziglang/lib/init/*",
    "ziglang/lib/libtsan/*",
)


@dataclass(frozen=True)
class Toolchain:
    """The imports that a build starts from; ``cuda`` by CUDA version."""

    root: Import
    zig: Import
    checks: Import
    cuda: Mapping[str, Import]

    def digests(self) -> list[Digest]:
        """Every pinned archive, each once."""
        imports = (self.root, self.zig, self.checks, *self.cuda.values())
        return list(dict.fromkeys(material.digest for node in imports for material in node.materials))


def toolchain_of(root: debian.DebianLock, locks: Mapping[str, lock.Lock], variants: Iterable[Variant]) -> Toolchain:
    """The toolchain for some variants; ``locks`` are the toolchain locks by name (``any``, ``checks``, ``cu129`` …)."""
    return Toolchain(
        root=Import("root", "debian", tuple(material_of_deb(package) for package in root.packages)),
        zig=_wheels("zig", locks["any"], _OTHER_SYSTEMS),
        checks=_wheels("checks", locks["checks"]),
        cuda={v.cuda.version: _wheels(f"cuda-{v.cuda.version}", locks[v.name]) for v in variants if v.cuda},
    )


def _wheels(name: str, pinned: lock.Lock, exclude: tuple[str, ...] = ()) -> Import:
    # tools run on the build machine, whatever the target: always x86_64
    materials = tuple(material_of_wheel(pin, file) for pin, file in lock.select(pinned, "x86_64"))
    return Import(name, "wheels", materials, exclude)


def material_of_wheel(pin: lock.Pin, file: lock.LockedFile) -> Material:
    """A locked wheel as a material, named by its package URL."""
    uri = f"pkg:pypi/{pin.name}@{quote(pin.version)}?file_name={quote(file.filename)}"
    return Material(pin.name, pin.version, uri, file.digest)


def material_of_deb(package: debian.DebianPackage) -> Material:
    """A locked Debian package as a material, named by its package URL."""
    version = quote(package.version, safe="")
    uri = f"pkg:deb/debian/{quote(package.name)}@{version}?arch={package.architecture}&distro=bookworm"
    return Material(package.name, package.version, uri, package.digest)

"""From pinned packages to the graph of derivations that gives an image's layers, rarest change first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from millcert import debian, lock
from millcert.errors import LockError
from millcert.hermetic.derivation import Command, Import, Material, Node, Output
from millcert.hermetic.toolchain import material_of_deb, material_of_wheel
from millcert.image import steps
from millcert.image.edition import Edition
from millcert.image.recipe import LayerKind, Recipe
from millcert.model import Digest, canonical_json
from millcert.store import Store
from millcert.tree import Entry

__all__ = ["Compression", "ImagePlan", "Pinned", "PlannedLayer", "Wheels", "plan_images", "site_packages"]

Compression = Literal["gzip", "zstd"]

_STEP = Path(steps.__file__).with_name("pack_layer.py")
_PYTHON = "/usr/bin/python3.11"
_CLOCK = 315532800  # 1980: a layer changes when its contents do, not when somebody commits
_SITE = "usr/local/lib/python3.11/dist-packages"
_NOBODY = 65532
_BLAS = "nvidia-cublas"  # four fifths of a CUDA image, so it has a layer of its own
_FILES = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/sbin/nologin\n"
        f"nonroot:x:{_NOBODY}:{_NOBODY}:nonroot:/work:/sbin/nologin\n"
    ),
    "etc/group": f"root:x:0:\nnonroot:x:{_NOBODY}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nprotocols: files\nservices: files\n",
}  # fmt: skip
_LINKS = {"usr/bin/python": "python3.11", "usr/bin/python3": "python3.11"}
_FOLDERS = {"tmp": (0o1777, 0), "usr/sbin": (0o755, 0), "var/tmp": (0o1777, 0), "work": (0o755, _NOBODY)}
_CERTIFICATES = {"etc/ssl/certs/ca-certificates.crt": "usr/share/ca-certificates/mozilla/*.crt"}


@dataclass(frozen=True)
class Pinned:
    """What one image is made from; ``cupy``, ``cuda`` and ``blas`` are empty for the CPU, the last two when slim."""

    edition: Edition
    base: tuple[Material, ...]
    wheels: tuple[Material, ...]
    cupy: tuple[Material, ...]
    cuda: tuple[Material, ...]
    blas: tuple[Material, ...]
    project: Material

    @property
    def materials(self) -> tuple[Material, ...]:
        """Everything in it, the project last."""
        return (*self.base, *self.wheels, *self.cupy, *self.cuda, *self.blas, self.project)


@dataclass(frozen=True)
class Wheels:
    """The locked wheels of an image by the layer they go to."""

    shared: Sequence[tuple[lock.Pin, lock.LockedFile]]
    cupy: Sequence[tuple[lock.Pin, lock.LockedFile]]
    cuda: Sequence[tuple[lock.Pin, lock.LockedFile]]
    blas: Sequence[tuple[lock.Pin, lock.LockedFile]]

    def __iter__(self) -> Iterator[tuple[lock.Pin, lock.LockedFile]]:
        return chain(self.shared, self.cupy, self.cuda, self.blas)


@dataclass(frozen=True)
class PlannedLayer:
    """A layer: its kind, the name that budgets and tables use, the packages in it, and the node that packs it."""

    kind: LayerKind
    name: str
    materials: tuple[Material, ...]
    nodes: Mapping[Compression, str]


@dataclass(frozen=True)
class ImagePlan:
    """Nodes in an order in which each comes after what it needs, and the layers of each image by its edition's name."""

    nodes: Mapping[str, Node]
    layers: Mapping[str, tuple[PlannedLayer, ...]]


def site_packages(shared: lock.Lock, runtime: lock.Lock, libraries: lock.Lock | None, edition: Edition) -> Wheels:
    """The wheels of the shared layer, of the variant's own layer, of the CUDA libraries and of cuBLAS.

    Raises LockError where the variant's lock disagrees with the shared one: the layer would not be shared.
    """
    common = lock.select(shared, edition.architecture)
    own = []
    for pin, file in lock.select(runtime, edition.architecture):
        same = next((other for other, _ in common if other.name == pin.name), None)
        if same is None:
            own.append((pin, file))
        elif same.version != pin.version:
            raise LockError(
                "two runtime locks disagree, so their images could not share a layer",
                name=pin.name, first=f"{same.version} in {shared.path.name}",
                second=f"{pin.version} in {runtime.path.name}", fix="run `millcert lock runtime --upgrade`",
            )  # fmt: skip
    present = {pin.name for pin, _ in [*common, *own]}
    locked = lock.select(libraries, edition.architecture) if libraries else []
    more = [item for item in locked if item[0].name not in present]
    blas = [item for item in more if item[0].name.startswith(_BLAS)]
    if edition.slim:
        return Wheels(common, own, [], [])
    return Wheels(common, own, [item for item in more if item not in blas], blas)


def pin(edition: Edition, packages: debian.DebianLock, wheels: Wheels, project: Material) -> Pinned:
    """The materials of one image."""
    parts = (wheels.shared, wheels.cupy, wheels.cuda, wheels.blas)
    shared, cupy, cuda, blas = (tuple(material_of_wheel(*item) for item in part) for part in parts)
    base = tuple(material_of_deb(package) for package in packages.for_architecture(edition.platform).packages)
    return Pinned(edition, base, shared, cupy, cuda, blas, project)


def plan_images(
    images: Sequence[Pinned], recipe: Recipe, root: Import, zstd: Import, store: Store,
    compressions: Sequence[Compression],
) -> ImagePlan:  # fmt: skip
    """Plan the layers of some images; the step and its specs are put into the store, nothing is run."""
    planner = _Planner(recipe, root, zstd, store, compressions)
    layers = {image.edition.name: tuple(planner.layers(image)) for image in images}
    return ImagePlan(planner.nodes, layers)


class _Planner:
    def __init__(
        self, recipe: Recipe, root: Import, zstd: Import, store: Store, compressions: Sequence[Compression]
    ) -> None:
        self._recipe, self._store, self._compressions = recipe, store, compressions
        self.nodes: dict[str, Node] = {}
        self._root = self._add(root)
        self._zstd = self._add(zstd) if "zstd" in compressions else None
        self._step = self._bytes_tree("pack_layer.py", _STEP.read_bytes())

    def layers(self, image: Pinned) -> list[PlannedLayer]:
        """The layers of one image in their order; one that several images have is planned once."""
        cuda, slim = image.edition.variant.cuda, image.edition.slim
        wanted: list[tuple[LayerKind, str, tuple[Material, ...]]] = [
            ("base", "base", image.base),
            ("bytecode", "bytecode", image.base),
            ("wheels", "wheels", image.wheels),
        ]
        if cuda:
            wanted.append(("cupy-slim", f"{cuda.cupy}-slim", image.cupy) if slim else ("cupy", cuda.cupy, image.cupy))
            wanted.append(("cuda", f"cuda-{cuda.version}", image.cuda))
            wanted.append(("blas", f"cublas-{cuda.version}", image.blas))
        wanted.append(("project", image.project.name, (image.project,)))
        return [self._layer(image, *fields) for fields in wanted if fields[2]]

    def _layer(self, image: Pinned, kind: LayerKind, name: str, materials: tuple[Material, ...]) -> PlannedLayer:
        edition = image.edition
        suffix = f"-{edition.variant.name}" if kind == "project" else ""
        suffix += "" if edition.platform == "amd64" else f"-{edition.platform}"
        source = {"bytecode": "base", "cupy-slim": name.removesuffix("-slim")}.get(kind, name)
        archives = "packages" if source == "base" else "wheels"
        unpacked = self._add(Import(f"unpack-{source}{suffix}", archives, materials))
        label = name + suffix
        nodes = {compression: self._pack(label, kind, unpacked, compression) for compression in self._compressions}
        return PlannedLayer(kind, name, materials, nodes)

    def _pack(self, label: str, kind: LayerKind, unpacked: Output, compression: Compression) -> str:
        spec = self._bytes_tree("spec.json", canonical_json(self._spec(kind, compression)))
        inputs: dict[str, Digest | Output] = {"/step": self._step, "/spec": spec, "/unpacked": unpacked}
        environment = {}
        if compression == "zstd":
            assert self._zstd is not None
            inputs["/zstd"] = self._zstd
            environment["PYTHONPATH"] = "/zstd"
        argv = (_PYTHON, "/step/pack_layer.py", "/spec/spec.json", "/out/layer", "/out/report.json")
        node = Command(f"{compression}-{label}", argv, self._root, inputs, ("layer", "report.json"), environment)
        return self._add(node).node

    def _spec(self, kind: LayerKind, compression: Compression) -> dict[str, object]:
        # NVIDIA's libraries are compressed inside: zstd 19 takes twenty times as long as 9 there, for 1 to 6 %
        base, bytecode, project = kind == "base", kind == "bytecode", kind == "project"
        debian = base or bytecode
        source = {"kind": "debian" if debian else "site", "path": "/unpacked", "prefix": "" if debian else _SITE}
        return {
            "sources": [source],
            "joined": _CERTIFICATES if base else {},
            "prune": [rule.as_dict() for rule in self._recipe.rules(kind)],
            "compiled": [] if base else ["usr/lib/python3.11" if bytecode else _SITE],
            "compiled_alone": bytecode,
            "files": _FILES if base else {HEALTHCHECK: self._recipe.healthcheck} if project else {},
            "links": _LINKS if base else {},
            "folders": _FOLDERS if base else {},
            "clock": _CLOCK,
            "compression": compression,
            "level": 9 if compression == "gzip" or kind in ("cuda", "blas") else 19,
        }

    def _add(self, node: Node) -> Output:
        before = self.nodes.setdefault(node.name, node)
        if before != node:
            raise LockError("two different layers of one name", step=node.name)
        return Output(node.name)

    def _bytes_tree(self, name: str, data: bytes) -> Digest:
        return self._store.add_entries([Entry(name, "file", self._store.add_bytes(data), len(data))])


HEALTHCHECK = "usr/local/share/healthcheck.py"

"""A project's images: from its locks, its recipe and its wheels to OCI layouts in dist/images/."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

from packaging.utils import parse_wheel_filename

from millcert import debian, index, lock
from millcert.errors import NotReproducibleError, UnsafeArchiveError, UsageError
from millcert.files import place
from millcert.hermetic.build import Builder, Built, Observer
from millcert.hermetic.derivation import Import, Material
from millcert.hermetic.revision import Revision
from millcert.hermetic.toolchain import material_of_deb, material_of_wheel
from millcert.image.edition import Edition, editions_of
from millcert.image.layout import Layout, TaggedManifest, link_or_copy, replace_signed
from millcert.image.manifest import CONFIG, LAYERS, MANIFEST, NAME, ImageFacts, image_config, image_manifest
from millcert.image.plan import (
    HEALTHCHECK,
    Compression,
    ImagePlan,
    Pinned,
    PlannedLayer,
    Wheels,
    pin,
    plan_images,
    site_packages,
)
from millcert.image.reasons import debian_reasons, wheel_reasons
from millcert.image.recipe import LayerKind, Recipe, load_recipe
from millcert.image.sbom import Packaged, image_sbom
from millcert.image.unpack import unpack_package
from millcert.model import Digest
from millcert.names import normalize
from millcert.sandbox import Bubblewrap, Sandbox
from millcert.store import Store
from millcert.wheel.project import UNPACKERS, Project

__all__ = ["BuiltImage", "BuiltLayer", "ImageProject"]

_PYTHON = "/usr/bin/python3.11"


@dataclass(frozen=True)
class BuiltLayer:
    """A layer as it is in an image: compressed and unpacked size in bytes, and what is in it."""

    planned: PlannedLayer
    digest: Digest
    size: int
    diff_id: Digest
    unpacked: int
    packages: tuple[Packaged, ...]
    rules: tuple[Mapping[str, Any], ...]
    paths: tuple[str, ...]
    built: Built
    blob: Path


@dataclass(frozen=True)
class BuiltImage:
    """An image in its layout: ``folder`` is the layout, ``manifest`` a copy of its manifest, to sign."""

    edition: Edition
    compression: Compression
    tag: str
    digest: Digest
    size: int
    layers: tuple[BuiltLayer, ...]
    folder: Path
    manifest: Path
    materials: tuple[Material, ...]

    @property
    def compressed(self) -> int:
        """Bytes of all layers as they are pulled."""
        return sum(layer.size for layer in self.layers)


class ImageProject:
    """The images of a project; ``frozen`` takes Debian's main archive alone, whose versions never vanish."""

    def __init__(self, project: Project, *, frozen: bool = False) -> None:
        self.project = project
        self.recipe: Recipe = load_recipe(project.root / "ci" / "image.toml")
        self._locks = project.root / "lockfiles"
        self._packages = self._locks / "debian" / ("image-main.lock" if frozen else "image.lock")

    def editions(self, names: Iterable[str] = ()) -> list[Edition]:
        """The named images, a variant's name standing for all of its; all for no names."""
        return editions_of(self.project.targets, names)

    def fetch(self, store: Store, editions: Sequence[Edition], progress: index.Progress) -> None:
        """Bring every pinned input of some images into the store; the only step that uses the network."""
        wheels = [item for edition in editions for item in self._wheels(edition)]
        tools = lock.select(lock.read_lock(self._locks / "toolchain" / "images.txt"), "x86_64")
        index.fetch([*tools, *wheels], store, progress)
        debian.fetch(debian.read_lock(self._locks / "debian" / "base.lock"), store, progress)
        try:
            packages = debian.read_lock(self._packages)
            for platform in sorted({edition.platform for edition in editions}):
                debian.fetch(packages.for_architecture(platform), store, progress)
        except debian.SupersededError as error:
            error.fix += "; or build with --base, from the archive that drops nothing"
            raise

    def _wheels(self, edition: Edition) -> Wheels:
        shared, runtime, *libraries = self._wheel_locks(edition)
        return site_packages(shared, runtime, libraries[0] if libraries else None, edition)

    def _wheel_locks(self, edition: Edition) -> list[lock.Lock]:
        """The locks of the wheels that all images share, of the variant's own, and of CUDA's libraries."""
        variant = edition.variant
        names = ["runtime/cpu", f"runtime/{variant.name}", *([f"images/{variant.name}"] if variant.cuda else [])]
        return [lock.read_lock(self._locks / f"{name}.txt") for name in names]

    def plan(
        self, store: Store, wheels: Mapping[str, Path], compressions: Sequence[Compression]
    ) -> tuple[ImagePlan, list[Pinned]]:
        """The graph of derivations for some images, given the project's wheel for each edition by its name."""
        packages = debian.read_lock(self._packages)
        images = [
            pin(edition, packages, self._wheels(edition), _project_wheel(store, edition, wheels[edition.name]))
            for edition in self.editions()
            if edition.name in wheels
        ]
        root = debian.read_lock(self._locks / "debian" / "base.lock")
        tools = lock.select(lock.read_lock(self._locks / "toolchain" / "images.txt"), "x86_64")
        plan = plan_images(
            images, self.recipe,
            Import("root", "debian", tuple(material_of_deb(package) for package in root.packages)),
            Import("zstd", "wheels", tuple(material_of_wheel(*item) for item in tools)),
            store, compressions,
        )  # fmt: skip
        return plan, images

    def build(
        self, store: Store, wheels: Mapping[str, Path], revision: Revision, observer: Observer, *, jobs: int,
        compressions: Sequence[Compression] = ("gzip", "zstd"), fresh: bool = False, dist: Path | None = None,
        sandbox: Callable[[], Sandbox] = Bubblewrap,
    ) -> list[BuiltImage]:  # fmt: skip
        """Assemble the images that ``wheels`` names and write their layouts below ``dist``/images.

        Raises UnsafeArchiveError where two layers bring one file, and what building a derivation raises.
        """
        plan, images = self.plan(store, wheels, compressions)
        unpackers = {**UNPACKERS, "packages": unpack_package}
        builder = Builder(store, sandbox, unpackers, self.project.targets.limits, observer, jobs=jobs, fresh=fresh)
        built = builder.build(plan.nodes.values())
        target = (dist or self.project.dist) / "images"
        found: list[BuiltImage] = []
        for image in images:
            why = self._reasons(store, image, built)
            layers = {
                kind: [_layer(store, planned, built, kind, why) for planned in plan.layers[image.edition.name]]
                for kind in compressions
            }
            found += self._release(image, layers, revision, target)
        return found

    def _reasons(self, store: Store, image: Pinned, built: Mapping[str, Built]) -> dict[str, str]:
        suffix = "" if image.edition.platform == "amd64" else f"-{image.edition.platform}"
        unpacked = built[f"unpack-base{suffix}"].tree
        controls = {
            material.name: store.tree_file(unpacked, f"packages/{material.name}/control").read_text()
            for material in image.base
        }
        reasons = debian_reasons(self._packages.with_suffix(".in"), controls)
        return reasons | wheel_reasons(self._wheel_locks(image.edition)) | {image.project.name: "what the image is for"}

    def _release(
        self, image: Pinned, layers: Mapping[Compression, list[BuiltLayer]], revision: Revision, target: Path
    ) -> list[BuiltImage]:
        _refuse_overlap(next(iter(layers.values())))
        _refuse_difference(layers)
        name, tag = image.edition.name, _tag(image)
        layout = Layout(target / name)
        facts = self._facts(image, tag, revision)
        found = []
        for compression in get_args(Compression):
            path = target / f"{name}{'' if compression == 'gzip' else f'.{compression}'}.manifest.json"
            if compression not in layers:
                replace_signed(path, None)
                continue
            parts = layers[compression]
            full = tag if compression == "gzip" else f"{tag}-{compression}"
            config = layout.add_bytes(image_config(facts, [(p.planned.name, p.diff_id) for p in parts]), CONFIG)
            blobs = [layout.add_file(part.blob, part.digest, LAYERS[compression]) for part in parts]
            data = image_manifest(config, blobs, {**facts.labels(), NAME: path.name})
            descriptor = layout.add_bytes(data, MANIFEST)
            replace_signed(path, data)
            packages = _merged([package for part in parts for package in part.packages])
            sbom = image_sbom(self.project.targets.project, full, descriptor.digest, revision.time, packages)
            place(path.with_name(f"{path.name}.cdx.json"), sbom)
            found.append(
                BuiltImage(
                    image.edition, compression, full, descriptor.digest, descriptor.size, tuple(parts), layout.folder,
                    path, image.materials,
                )
            )  # fmt: skip
        if "gzip" in layers:
            _lay_down(target / f"{name}.layers", layers["gzip"])
        layout.finish([TaggedManifest(i.tag, layout.add_bytes(i.manifest.read_bytes(), MANIFEST)) for i in found])
        return found

    def _facts(self, image: Pinned, tag: str, revision: Revision) -> ImageFacts:
        recipe = self.recipe
        environment = {**recipe.environment, **(recipe.cuda_environment if image.edition.variant.cuda else {})}
        return ImageFacts(
            recipe.title, recipe.description, recipe.licenses, tag, revision.commit, revision.remote,
            image.edition.platform, revision.time, environment, (_PYTHON,),
            (_PYTHON, f"/{HEALTHCHECK}"), "65532:65532", "/work",
        )  # fmt: skip


def _tag(image: Pinned) -> str:
    """``0.1.0.dev20261123-cpu``, and what else the edition's name has: a tag says exactly one image."""
    return image.project.version.replace("+", "-") + image.edition.name.removeprefix(image.edition.variant.name)


def _project_wheel(store: Store, edition: Edition, path: Path) -> Material:
    name, version, _, tags = parse_wheel_filename(path.name)
    if (version.local or "").partition(".")[0] != edition.variant.name:
        raise UsageError("a wheel of another variant", expected=edition.variant.name, file=path.name)
    if not any(tag.platform == "any" or tag.platform.endswith(f"_{edition.architecture}") for tag in tags):
        raise UsageError("a wheel of another architecture", expected=edition.architecture, file=path.name)
    uri = f"pkg:pypi/{name}@{quote(str(version))}?file_name={quote(path.name)}"
    return Material(str(name), str(version), uri, store.ensure_file(path))


def _layer(
    store: Store, planned: PlannedLayer, built: Mapping[str, Built], compression: Compression, why: Mapping[str, str]
) -> BuiltLayer:
    node = built[planned.nodes[compression]]
    report = json.loads(store.tree_file(node.tree, "report.json").read_bytes())
    entry = store.tree(node.tree).file("layer")
    assert entry.digest is not None
    weights = {_bare(package["name"]): package for package in report["packages"]}
    packages = tuple(
        Packaged(
            material, planned.name, weight.get("files", 0), weight.get("bytes", 0),
            (weight.get("pruned_files", 0), weight.get("pruned_bytes", 0)), why.get(material.name, ""),
        )
        for material in planned.materials
        for weight in [weights.get(material.name, {})]
    )  # fmt: skip
    return BuiltLayer(
        planned, entry.digest, entry.size, Digest(report["diff_id"]), report["unpacked"], packages,
        tuple(report["rules"]), tuple(report["paths"]), node, store.tree_file(node.tree, "layer"),
    )  # fmt: skip


def _merged(packages: Iterable[Packaged]) -> list[Packaged]:
    """Each package once, under its first layer: the base's have their compiled modules in the next one."""
    found: dict[str, Packaged] = {}
    for package in packages:
        first = found.setdefault(package.material.uri, package)
        if first is not package:
            more = replace(first, files=first.files + package.files, size=first.size + package.size)
            found[package.material.uri] = more
    return list(found.values())


def _bare(owner: str) -> str:
    """The project of a ``.dist-info`` folder; a Debian package's name is itself."""
    return normalize(owner.partition("-")[0]) if owner.endswith(".dist-info") else owner


def _lay_down(folder: Path, layers: Sequence[BuiltLayer]) -> None:
    """Layers under names that the Dockerfile knows, numbered by their kind."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for layer in layers:
        number = get_args(LayerKind).index(layer.planned.kind) + 1
        link_or_copy(layer.blob, folder / f"{number}-{layer.planned.name}.tar.gz")


def _refuse_difference(layers: Mapping[Compression, Sequence[BuiltLayer]]) -> None:
    contents = {kind: [layer.diff_id for layer in parts] for kind, parts in layers.items()}
    if len({tuple(digests) for digests in contents.values()}) > 1:
        raise NotReproducibleError(
            "one layer packed twice has two contents", **{k: ", ".join(v) for k, v in contents.items()}
        )


def _refuse_overlap(layers: Sequence[BuiltLayer]) -> None:
    seen: dict[str, tuple[str, str]] = {}
    for layer in layers:
        for path in layer.paths:
            other, first = seen.setdefault(path.casefold(), (path, layer.planned.name))
            if first != layer.planned.name:
                raise UnsafeArchiveError(
                    "two layers with one file: the later one would hide the earlier one's",
                    path=path, first=f"{other} in {first}", second=layer.planned.name,
                )  # fmt: skip

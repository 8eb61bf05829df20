"""The provenance of images that this tool assembled: layers' derivations and pinned packages, or an index's images."""

from __future__ import annotations

from millcert import __version__
from millcert.attest.statement import BuildDefinition, Dependency, Subject, provenance
from millcert.hermetic.revision import Revision
from millcert.image.index import ImageIndex
from millcert.image.manifest import NAME
from millcert.image.project import BuiltImage

__all__ = ["BUILD_TYPE", "INDEX_BUILD_TYPE", "image_provenance", "index_provenance"]

BUILD_TYPE = "urn:millcert:build-type:image:v1"
INDEX_BUILD_TYPE = "urn:millcert:build-type:image-index:v1"


def image_provenance(project: str, image: BuiltImage, revision: Revision, builder_id: str) -> bytes:
    """The unsigned statement about one image's manifest: equal builds give equal bytes."""
    pinned = [Dependency(m.uri, {"sha256": m.digest}, m.name) for m in image.materials]
    definition = BuildDefinition(
        build_type=BUILD_TYPE,
        builder_id=builder_id,
        external_parameters={
            "project": project, "image": image.edition.name, "compression": image.compression, "tag": image.tag,
            "commit": revision.commit, "dirty": revision.dirty,
        },
        internal_parameters={"layers": {layer.planned.name: layer.built.key for layer in image.layers}},
        dependencies=[_source(project, revision), *pinned],
        builder_version={"millcert": __version__},
        invocation_id=image.layers[-1].built.key,
    )  # fmt: skip
    return provenance([Subject(image.manifest.name, image.digest)], definition)


def index_provenance(project: str, index: ImageIndex, revision: Revision, builder_id: str) -> bytes:
    """The unsigned statement about the index of a variant's images, which are its dependencies."""
    images = [
        Dependency(
            f"pkg:oci/{project}@sha256%3A{member.descriptor.digest}?arch={member.platform[1]}",
            {"sha256": member.descriptor.digest}, member.annotations[NAME],
        )
        for member in index.members
    ]  # fmt: skip
    definition = BuildDefinition(
        build_type=INDEX_BUILD_TYPE,
        builder_id=builder_id,
        external_parameters={
            "project": project, "index": index.name, "commit": revision.commit, "dirty": revision.dirty,
        },
        dependencies=[_source(project, revision), *images],
        builder_version={"millcert": __version__},
        invocation_id=index.descriptor.digest,
    )  # fmt: skip
    return provenance([Subject(index.name, index.descriptor.digest)], definition)


def _source(project: str, revision: Revision) -> Dependency:
    address = f"git+{revision.remote}@{revision.commit}" if revision.remote else f"git:{project}@{revision.commit}"
    return Dependency(uri=address, digest={"gitCommit": revision.commit}, name=project)

"""The provenance of an image that this tool assembled: its layers' derivations and every pinned package."""

from __future__ import annotations

from millcert import __version__
from millcert.attest.statement import BuildDefinition, Dependency, Subject, provenance
from millcert.hermetic.revision import Revision
from millcert.image.project import BuiltImage

__all__ = ["BUILD_TYPE", "image_provenance"]

BUILD_TYPE = "urn:millcert:build-type:image:v1"


def image_provenance(project: str, image: BuiltImage, revision: Revision, builder_id: str) -> bytes:
    """The unsigned statement about one image's manifest: equal builds give equal bytes."""
    source = Dependency(
        uri=f"git+{revision.remote}@{revision.commit}" if revision.remote else f"git:{project}@{revision.commit}",
        digest={"gitCommit": revision.commit},
        name=project,
    )
    definition = BuildDefinition(
        build_type=BUILD_TYPE,
        builder_id=builder_id,
        external_parameters={
            "project": project, "image": image.edition.name, "compression": image.compression, "tag": image.tag,
            "commit": revision.commit, "dirty": revision.dirty,
        },
        internal_parameters={"layers": {layer.planned.name: layer.built.key for layer in image.layers}},
        dependencies=[source, *(Dependency(m.uri, {"sha256": m.digest}, m.name) for m in image.materials)],
        builder_version={"millcert": __version__},
        invocation_id=image.layers[-1].built.key,
    )  # fmt: skip
    return provenance([Subject(image.manifest.name, image.digest)], definition)

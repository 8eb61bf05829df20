"""``millcert image push``: layouts with everything about them to a registry, architectures under one tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millcert.cli.console import emit_json, json_option
from millcert.cli.registry import TransferProgress, open_registry
from millcert.cli.table import megabytes, print_table
from millcert.errors import UsageError

if TYPE_CHECKING:
    from millcert.image.index import ImageIndex, Member
    from millcert.image.layout import Layout, TaggedManifest
    from millcert.image.referrers import Artifact
    from millcert.image.registry import Registry
    from millcert.image.transfer import Pushed

__all__ = ["push_command"]

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("push")
@click.argument("layouts", type=_FOLDER, nargs=-1, required=True)
@click.argument("repository")
@click.option("--tag", default="", help="The tag in the registry (default: the image's own; with -zstd for zstd).")
@click.option("--unsigned", is_flag=True, help="Push an image that nobody signed.")
@json_option
def push_command(layouts: tuple[Path, ...], repository: str, tag: str, unsigned: bool, as_json: bool) -> None:
    """Push the images of LAYOUTS with their signatures, SBOMs and provenance to REPOSITORY.

    Digests stay as they are. The tag moves last, when all else was read back; a push that was cut off continues.
    Images that differ in their architecture alone go under one tag, as an index.

    \b
    Examples:
      millcert image push dist/images/cpu registry.example.org/team/wootz
      millcert image push dist/images/cpu dist/images/cpu-arm64 registry.example.org/team/wootz
    """
    registry, _ = open_registry(repository)
    groups = _by_tag(layouts)
    if tag and len(groups) > 1:
        raise UsageError("one tag for several images", images=", ".join(groups), fix="leave --tag out")
    indexes = {shared: _index(images, unsigned) for shared, images in groups.items() if len(images) > 1}
    for images in groups.values():
        for image in images:
            _check_records(image, unsigned)
    rows: list[dict[str, Any]] = []
    for shared, images in groups.items():
        single = shared not in indexes
        rows += [_push_one(image, registry, (tag or image.tagged.tag) if single else "") for image in images]
        if not single:
            rows.append(_push_index(*indexes[shared], registry, tag or shared))
    if as_json:
        emit_json({"pushed": rows})
        return
    table = [[r["tag"] or "(in the index)", r["digest"], megabytes(r["sent"]), _referrers(r)] for r in rows]
    print_table(("tag", "digest", "sent", "referrers"), table)


@dataclass(frozen=True)
class _Local:
    """An image of a layout on its way to a registry, with what refers to it."""

    layout: Layout
    tagged: TaggedManifest
    member: Member
    artifacts: Sequence[Artifact]


def _by_tag(folders: Sequence[Path]) -> dict[str, list[_Local]]:
    """The images of some layouts; those that differ in their architecture alone stand together."""
    from millcert.image.index import member_of
    from millcert.image.layout import Layout
    from millcert.image.manifest import name_of
    from millcert.image.referrers import artifacts_beside

    groups: dict[str, list[_Local]] = {}
    for folder in folders:
        layout = Layout(folder)
        for tagged in layout.images():
            name = name_of(layout.json(tagged.descriptor))
            member = member_of(layout, tagged.descriptor)
            image = _Local(layout, tagged, member, artifacts_beside(folder.resolve().parent / name))
            groups.setdefault(tagged.tag.replace(f"-{member.platform[1]}", "", 1), []).append(image)
    return groups


def _index(images: Sequence[_Local], unsigned: bool) -> tuple[ImageIndex, list[Artifact]]:
    """The index of some images, and what lies beside their layouts about it; UsageError where it is another one."""
    from millcert.image.index import index_of
    from millcert.image.referrers import INDEX_KINDS, artifacts_beside, check_artifacts

    index = index_of([image.member for image in images])
    path = images[0].layout.folder.resolve().parent / index.name
    if unsigned and not path.is_file():
        return index, []
    if not path.is_file() or path.read_bytes() != index.data:
        raise UsageError(
            "the index over these images is missing, or lists others", file=path, expected=index.descriptor.digest,
            fix="build all architectures with one `millcert image build`, and sign the index as the manifests",
        )  # fmt: skip
    artifacts = artifacts_beside(path)
    wanted = [kind for kind in INDEX_KINDS if kind != "signature" or not unsigned]
    check_artifacts(artifacts, index.descriptor.digest, wanted)
    return index, artifacts


def _check_records(image: _Local, unsigned: bool) -> None:
    from millcert.image.referrers import ALL_KINDS, check_artifacts

    wanted = [kind for kind in ALL_KINDS if kind != "signature" or not unsigned]
    check_artifacts(image.artifacts, image.tagged.descriptor.digest, wanted)


def _push_one(image: _Local, registry: Registry, tag: str) -> dict[str, Any]:
    from millcert.image.transfer import push

    with TransferProgress() as progress:
        return _row(push(image.layout, image.tagged, image.artifacts, registry, tag, progress))


def _push_index(index: ImageIndex, artifacts: Sequence[Artifact], registry: Registry, tag: str) -> dict[str, Any]:
    from millcert.image.transfer import push_index

    return _row(push_index(index, artifacts, registry, tag))


def _row(pushed: Pushed) -> dict[str, Any]:
    return {
        "tag": pushed.tag, "digest": f"sha256:{pushed.descriptor.digest}", "sent": pushed.sent,
        "referrers": pushed.referrers, "fallback": pushed.by_fallback,
    }  # fmt: skip


def _referrers(row: Mapping[str, Any]) -> str:
    return f"{row.get('referrers', '')}{' by the fallback tag' * row.get('fallback', False)}"

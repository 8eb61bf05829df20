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
    from millcert.image.layout import Layout, TaggedManifest
    from millcert.image.referrers import Artifact
    from millcert.image.registry import Registry
    from millcert.image.transfer import Member

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
    from millcert.image.transfer import push_index

    registry, _ = open_registry(repository)
    groups = _by_tag(layouts)
    if tag and len(groups) > 1:
        raise UsageError("one tag for several images", images=", ".join(groups), fix="leave --tag out")
    for images in groups.values():
        for image in images:
            _check_records(image, unsigned)
    rows: list[dict[str, Any]] = []
    for shared, images in groups.items():
        single = len(images) == 1
        rows += [_push_one(image, registry, (tag or image.tagged.tag) if single else "") for image in images]
        if not single:
            index = push_index([image.member for image in images], registry, tag or shared)
            rows.append({"tag": tag or shared, "digest": f"sha256:{index.digest}", "sent": index.size})
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
    from millcert.image.layout import Layout
    from millcert.image.referrers import artifacts_beside
    from millcert.image.transfer import Member, name_of

    groups: dict[str, list[_Local]] = {}
    for folder in folders:
        layout = Layout(folder)
        for tagged in layout.images():
            name = name_of(layout.json(tagged.descriptor))
            runs_on = layout.platform(tagged.descriptor)
            member = Member(tagged.descriptor, (runs_on["os"], runs_on["architecture"]))
            image = _Local(layout, tagged, member, artifacts_beside(folder.resolve().parent / name))
            groups.setdefault(tagged.tag.replace(f"-{runs_on['architecture']}", "", 1), []).append(image)
    return groups


def _check_records(image: _Local, unsigned: bool) -> None:
    from millcert.image.referrers import ALL_KINDS, check_artifacts

    wanted = [kind for kind in ALL_KINDS if kind != "signature" or not unsigned]
    check_artifacts(image.artifacts, image.tagged.descriptor.digest, wanted)


def _push_one(image: _Local, registry: Registry, tag: str) -> dict[str, Any]:
    from millcert.image.transfer import push

    with TransferProgress() as progress:
        pushed = push(image.layout, image.tagged, image.artifacts, registry, tag, progress)
    return {
        "tag": pushed.tag, "digest": f"sha256:{pushed.descriptor.digest}", "sent": pushed.sent,
        "referrers": pushed.referrers, "fallback": pushed.by_fallback,
    }  # fmt: skip


def _referrers(row: Mapping[str, Any]) -> str:
    return f"{row.get('referrers', '')}{' by the fallback tag' * row.get('fallback', False)}"

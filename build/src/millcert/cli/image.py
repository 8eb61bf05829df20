"""``millcert image``: assemble, push, verify and explain the training images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millcert.cli.build import project_option, run_build, store_option
from millcert.cli.console import emit_json, json_option, messages, results
from millcert.cli.image_push import push_command
from millcert.cli.image_registry import diff_command, explain_command, pull_command, verify_command
from millcert.cli.table import megabytes, print_table
from millcert.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from millcert.image.budget import Weight
    from millcert.image.edition import Edition
    from millcert.image.project import BuiltImage, ImageProject
    from millcert.wheel.project import Project

__all__ = ["commands"]

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group("image")
def image_group() -> None:
    """Slim, reproducible images: built from locked packages, without a daemon, root or network."""


@image_group.command("build")
@click.argument("variants", nargs=-1)
@click.option("--arch", "architectures", multiple=True, help="For this architecture alone (repeatable).")
@click.option("--wheel", "wheels", multiple=True, type=_FILE, help="Use this wheel of the project (one an image).")
@click.option(
    "--compression", "compressions", multiple=True, type=click.Choice(["gzip", "zstd"]), default=("gzip", "zstd"),
    show_default=True, help="Which tags to make (repeatable).",
)  # fmt: skip
@click.option("--base", "frozen", is_flag=True, help="Take Debian's frozen main archive, without security updates.")
@click.option("--dist", type=_FOLDER, help="Layouts go to images/ below it (default: dist/ of the project).")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True, help="Steps at once.")
@click.option("--fresh", is_flag=True, help="Pack every layer again and compare with what the store remembers.")
@click.option(
    "--builder-id", default="urn:millcert:builder:local", show_default=True, help="Who builds, for the provenance."
)
@project_option
@store_option
@json_option
def build_command(
    variants: tuple[str, ...], architectures: tuple[str, ...], wheels: tuple[Path, ...], compressions: tuple[str, ...],
    frozen: bool, dist: Path | None, jobs: int, fresh: bool, builder_id: str, root: Path, store_root: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Assemble the images of VARIANTS (all of them when none is named) as OCI layouts in dist/images/.

    A variant has an image for each of its architectures; `cu130-slim` names the one without cuBLAS alone.

    The project's wheels are built first, or taken from --wheel. Layers that were packed before are looked up.

    \b
    Examples:
      millcert image build cpu --arch x86_64      one image, gzip and zstd
      millcert image build cpu --base             when the mirror has dropped a pinned security update
      skopeo inspect oci:dist/images/cpu:TAG      any OCI tool reads the result
    """
    from millcert.attest.image import image_provenance, index_provenance
    from millcert.cli.progress import BuildProgress, FetchProgress
    from millcert.files import place
    from millcert.hermetic.revision import read_revision
    from millcert.image.budget import check_budget, weigh
    from millcert.image.index import refresh_indexes
    from millcert.image.project import ImageProject
    from millcert.store import Store, default_root
    from millcert.wheel.project import Project

    project = Project(root.resolve())
    if project.targets.images is None:
        raise ConfigError("targets.toml has no [images]: without budgets no image is built", project=project.root)
    images = ImageProject(project, frozen=frozen)
    store = Store(store_root or default_root(os.environ))
    editions = _editions(images, variants or [_target_of(path)[0] for path in wheels], architectures)
    chosen = _given(editions, wheels) if wheels else _built(project, editions, jobs, store_root, dist)
    with FetchProgress() as fetching:
        images.fetch(store, [edition for edition in editions if edition.name in chosen], fetching)
    revision = read_revision(project.root)
    with BuildProgress() as observer:
        built = images.build(
            store, chosen, revision, observer, jobs=jobs, fresh=fresh, dist=dist.resolve() if dist else None,
            compressions=[kind for kind in ("gzip", "zstd") if kind in compressions],
        )  # fmt: skip
    for image in built:
        statement = image_provenance(project.targets.project, image, revision, builder_id)
        place(image.manifest.with_name(f"{image.manifest.name}.provenance.json"), statement)
    folder = built[0].folder.parent
    for index in refresh_indexes(folder, images.editions(edition.variant.name for edition in editions)):
        statement = index_provenance(project.targets.project, index, revision, builder_id)
        place(folder / f"{index.name}.provenance.json", statement)
    weights = weigh(built, project.targets.images)
    if as_json:
        check_budget(weights)  # before printing: the output is one document, the images or the error
        emit_json({"images": [_image_row(image) for image in built], "weights": [w.as_dict() for w in weights]})
        return
    _print_weights(weights)
    _print_images(built)
    check_budget(weights)


def _editions(images: ImageProject, variants: Sequence[str], architectures: Sequence[str]) -> list[Edition]:
    found = images.editions(variants)
    if unknown := sorted(set(architectures) - {edition.architecture for edition in found}):
        raise UsageError(
            "no chosen image is for this architecture", found=unknown[0],
            expected=", ".join(sorted({edition.architecture for edition in found})),
        )  # fmt: skip
    return [edition for edition in found if not architectures or edition.architecture in architectures]


def _built(
    project: Project, editions: Sequence[Edition], jobs: int, store: Path | None, dist: Path | None
) -> dict[str, Path]:
    """The wheel of each image by its name, built now."""
    names = list(dict.fromkeys(edition.variant.name for edition in editions))
    architectures = list(dict.fromkeys(edition.architecture for edition in editions))
    result = run_build(project, names, architectures, jobs, False, store, dist)
    paths = {(wheel.planned.variant, wheel.planned.architecture): wheel.path for wheel in result.wheels}
    return {edition.name: paths[edition.variant.name, edition.architecture] for edition in editions}


def _given(editions: Sequence[Edition], wheels: Sequence[Path]) -> dict[str, Path]:
    """The wheel of each image by its name, of those given; images that none was given for are left out."""
    found = {
        edition.name: path
        for path in wheels
        for variant, architectures in [_target_of(path)]
        for edition in editions
        if edition.variant.name == variant and (edition.architecture in architectures or "any" in architectures)
    }
    for edition in editions:
        # a wheel for one architecture is enough: the others' images are then not built
        if not any(other.variant == edition.variant and other.name in found for other in editions):
            raise UsageError(
                "no wheel is given for a variant", variant=edition.variant.name, fix="give one --wheel an image"
            )
    return found


def _target_of(path: Path) -> tuple[str, set[str]]:
    """A wheel's variant, and the architectures it is for."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        _, version, _, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise UsageError("not a wheel's file name", file=path, reason=error) from error
    known = ("x86_64", "aarch64")
    return (version.local or "").partition(".")[0], {
        next((name for name in known if tag.platform.endswith(f"_{name}")), tag.platform) for tag in tags
    }


def _image_row(image: BuiltImage) -> dict[str, Any]:
    return {
        "image": image.edition.name,
        "tag": image.tag,
        "compression": image.compression,
        "digest": f"sha256:{image.digest}",
        "bytes": image.compressed,
        "layout": str(image.folder),
        "manifest": str(image.manifest),
        "layers": [
            {
                "name": layer.planned.name, "digest": f"sha256:{layer.digest}", "bytes": layer.size,
                "unpacked": layer.unpacked, "cached": layer.built.cached, "rules": list(layer.rules),
            }
            for layer in image.layers
        ],
    }  # fmt: skip


def _print_weights(weights: Sequence[Weight]) -> None:
    rows = [
        [w.image, w.layer or "all layers", megabytes(w.size), megabytes(w.budget), "too heavy" if w.exceeded else ""]
        for w in weights
    ]
    print_table(("image", "layer", "gzip", "budget", ""), rows)


def _print_images(built: Sequence[BuiltImage]) -> None:
    rows = [
        [
            image.tag, megabytes(image.compressed), f"sha256:{image.digest}",
            "looked up" if all(layer.built.cached for layer in image.layers) else "built",
        ]
        for image in built
    ]  # fmt: skip
    print_table(("tag", "size", "digest", ""), rows)
    messages().print(f"layouts in {built[0].folder.parent}", markup=False)


@image_group.command("audit")
@project_option
@json_option
def audit_command(root: Path, as_json: bool) -> None:
    """Say which packages of the images the Debian mirror has newer versions of, and which are security updates.

    Exit code 4 when there is any, so that a nightly job notices.
    """
    from millcert.debian import read_lock
    from millcert.debian.apt import find_archive, parse_wanted, resolve
    from millcert.errors import LockError
    from millcert.image.audit import audit

    folder = root.resolve() / "lockfiles" / "debian"
    wanted = parse_wanted((folder / "image.in").read_text(), "debian/image")
    archives = [find_archive(suite, os.environ) for suite in wanted.suites]
    with messages().status("asking the Debian mirror"):
        found = audit(read_lock(folder / "image.lock").packages, resolve(wanted, archives, os.environ))
    if as_json:
        emit_json({"outdated": [item.as_dict() for item in found]})
    elif found:
        rows = [[i.name, i.locked or "-", i.newest or "-", "security" if i.security else ""] for i in found]
        print_table(("package", "locked", "newest", ""), rows)
    else:
        results().print("every package is the newest that the mirror has")
    if found:
        raise LockError(
            "the images' lock is behind the mirror",
            packages=len(found), security=sum(item.security for item in found),
            fix="run `millcert lock debian/image`, build the images again and commit the lock",
        )  # fmt: skip


for _command in (push_command, pull_command, verify_command, explain_command, diff_command):
    image_group.add_command(_command)
commands: list[click.Command] = [image_group]

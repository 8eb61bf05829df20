"""``millcert image pull``, ``verify``, ``explain`` and ``diff``: images in registries and in layouts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millcert.cli.attest import policy_from_options, trust_config_option, trust_root_from_options
from millcert.cli.console import emit_json, json_option, results
from millcert.cli.registry import TransferProgress, architecture_option, open_registry
from millcert.cli.table import megabytes, print_table
from millcert.errors import UsageError

if TYPE_CHECKING:
    from millcert.image.compare import ImageContents
    from millcert.image.manifest import Descriptor
    from millcert.image.referrers import Artifact
    from millcert.image.registry import Registry
    from millcert.model import Digest

__all__ = ["diff_command", "explain_command", "pull_command", "verify_command"]

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@dataclass(frozen=True)
class _Subject:
    """An image, or an index, to look at: its manifest as a file with what refers to it beside; how to read layers."""

    title: str
    path: Path
    descriptor: Descriptor
    artifacts: Sequence[Artifact]
    layout: Path | None
    registry: Registry | None


@click.command("pull")
@click.argument("reference")
@click.argument("folder", type=_FOLDER)
@architecture_option
@json_option
def pull_command(reference: str, folder: Path, architecture: str, as_json: bool) -> None:
    """Bring an image with everything that refers to it into FOLDER, to be verified or loaded without a network."""
    from millcert.image.referrers import place_artifacts
    from millcert.image.transfer import pull

    registry, wanted = open_registry(reference)
    with TransferProgress() as progress:
        pulled = pull(registry, wanted, folder, progress, architecture)
    place_artifacts(pulled.artifacts, folder / pulled.name)
    layout = folder / pulled.name.removesuffix(".manifest.json")
    if as_json:
        emit_json({"layout": str(layout), "digest": f"sha256:{pulled.descriptor.digest}"})
    else:
        results().print(f"{layout}  sha256:{pulled.descriptor.digest}", markup=False)


@click.command("verify")
@click.argument("image")
@click.option(
    "--policy", "policy_path", type=_FILE, metavar="FILE", help="Who may sign what: a policy in TOML or JSON."
)
@click.option("--identity", "identities", multiple=True, metavar="NAME", help="Without a policy: who signed.")
@click.option("--issuer", metavar="URL", help="Without a policy: who vouched for the identity.")
@click.option("--builders", type=click.IntRange(1), metavar="K", help="How many builders must attest the digest.")
@click.option(
    "--trusted-root", type=_FILE, metavar="FILE",
    help="The authorities and logs to believe (default: those of public-good Sigstore, as shipped).",
)  # fmt: skip
@trust_config_option
@click.option("--layers", is_flag=True, help="Also bring every layer of an image in a registry and check its digest.")
@json_option
def verify_command(
    image: str, policy_path: Path | None, identities: tuple[str, ...], issuer: str | None, builders: int | None,
    trusted_root: Path | None, trust_config: Path | None, layers: bool, as_json: bool,
) -> None:  # fmt: skip
    """Check IMAGE, a reference or a layout: digests, signature, SBOM and provenance, all about this very image.

    A layout is verified without any network, with the files beside it.

    \b
    Examples:
      millcert image verify registry.example.org/team/wootz:TAG --policy policy.toml
      millcert image verify dist/images/cpu --policy policy.toml
    """
    from millcert.attest.verify import Verifier
    from millcert.image.manifest import INDEX
    from millcert.image.referrers import ALL_KINDS, INDEX_KINDS, check_artifacts, place_artifacts

    policy = policy_from_options(policy_path, identities, issuer, builders)
    verifier = Verifier(trust_root_from_options(trusted_root, trust_config), policy)
    rows: list[dict[str, Any]] = []
    with _subjects(image, indexes=True) as subjects:
        for subject in subjects:
            index = subject.descriptor.media_type == INDEX
            check_artifacts(subject.artifacts, subject.descriptor.digest, INDEX_KINDS if index else ALL_KINDS)
            checked = 0 if index else _check_blobs(subject, layers)
            if subject.registry is not None:
                place_artifacts(subject.artifacts, subject.path)
            verdict = verifier.verify(subject.path)
            rows.append({
                "image": subject.title, "digest": f"sha256:{subject.descriptor.digest}", "builders": verdict.builders,
                "signed_by": sorted({one.claimed.claims.identity for one in verdict.attestations}), "blobs": checked,
            })  # fmt: skip
    if as_json:
        emit_json({"verified": rows})
        return
    table = [[r["image"], r["digest"], ", ".join(r["signed_by"]), str(r["blobs"])] for r in rows]
    print_table(("image", "digest", "signed by", "blobs checked"), table)


def _check_blobs(subject: _Subject, layers: bool) -> int:
    from millcert.image.layout import Layout

    parts = _parts(subject)
    if subject.layout is not None:
        for part in parts:
            Layout(subject.layout).path(part)
        return len(parts)
    assert subject.registry is not None
    chosen = parts if layers else parts[:1]
    for part in chosen:
        for _ in subject.registry.blob(part):
            pass  # the stream checks itself at its end
    return len(chosen)


@click.command("explain")
@click.argument("image")
@architecture_option
@json_option
def explain_command(image: str, architecture: str, as_json: bool) -> None:
    """List the layers and packages of IMAGE, a reference or a layout: what each weighs and why it is there."""
    from millcert.image.compare import package_facts

    with _subjects(image, architecture) as subjects:
        subject = subjects[0]
        document = json.loads(subject.path.read_bytes())
        names = [str(entry["created_by"]).removeprefix("millcert: ") for entry in _config(subject)["history"]]
        layers = [
            {"name": name, "digest": layer["digest"], "bytes": layer["size"]}
            for name, layer in zip(names, document["layers"], strict=True)
        ]
        packages = package_facts(_sbom(subject))
    if as_json:
        emit_json({"image": subject.title, "layers": layers, "packages": packages})
        return
    print_table(("layer", "size", "digest"), [[r["name"], megabytes(r["bytes"]), r["digest"]] for r in layers])
    results().print()
    order = sorted(packages.items(), key=lambda item: (names.index(item[1]["layer"]), -int(item[1]["bytes"])))
    rows = [
        [n, f["version"], f["layer"], megabytes(int(f["bytes"])), megabytes(int(f.get("pruned_bytes", 0))), f["why"]]
        for n, f in order
    ]
    print_table(("package", "version", "layer", "unpacked", "left out", "why"), rows)


@click.command("diff")
@click.argument("before")
@click.argument("after")
@architecture_option
@json_option
def diff_command(before: str, after: str, architecture: str, as_json: bool) -> None:
    """Say what changed between two images, references or layouts: packages, layers, files and bytes."""
    from millcert.image.compare import compare

    with _subjects(before, architecture) as first, _subjects(after, architecture) as second:
        same = {part.digest for part in _parts(first[0])} & {part.digest for part in _parts(second[0])}
        changes = compare(_contents(first[0], same), _contents(second[0], same))
    if as_json:
        emit_json({"changes": [change.as_dict() for change in changes]})
        return
    rows = [
        [c.what, c.name, c.before or "-", c.after or "-", f"{c.size_after - c.size_before:+,} bytes"] for c in changes
    ]
    if rows:
        print_table(("", "name", "before", "after", "change"), rows)
    else:
        results().print("the images are the same")


def _contents(subject: _Subject, same: set[Digest]) -> ImageContents:
    from millcert.image.compare import ImageContents, package_facts, read_layer
    from millcert.image.layout import Layout

    parts = _parts(subject)[1:]
    names = [str(entry["created_by"]).removeprefix("millcert: ") for entry in _config(subject)["history"]]
    packages = {n: (f["version"], int(f["bytes"])) for n, f in package_facts(_sbom(subject)).items()}
    layers = {name: (part.digest[:16], part.size) for name, part in zip(names, parts, strict=True)}
    files: dict[str, tuple[str, int]] = {}
    for part in [part for part in parts if part.digest not in same]:
        layout = Layout(subject.layout or subject.path.parent / "layers")
        if subject.registry is not None:
            layout.add_chunks(subject.registry.blob(part), part)
        files |= read_layer(layout.path(part), part.media_type)
    return ImageContents(packages, layers, files)


@contextmanager
def _subjects(text: str, architecture: str = "", indexes: bool = False) -> Iterator[list[_Subject]]:
    """The images that a reference or a layout's folder names; what had to be fetched is gone afterwards.

    Of an index those of one architecture, or all; with ``indexes`` the index itself comes first.
    """
    from millcert.image.layout import Layout
    from millcert.image.manifest import name_of
    from millcert.image.referrers import artifacts_beside
    from millcert.image.transfer import pull_records, resolve

    folder = Path(text)
    if folder.is_dir():
        layout = Layout(folder)
        found = []
        for image in layout.images():
            path = folder.resolve().parent / name_of(layout.json(image.descriptor))
            if not path.is_file() or path.read_bytes() != layout.read(image.descriptor):
                raise UsageError(
                    "the manifest beside the layout is missing or another one", file=path, fix="build or pull it again"
                )
            found.append(_Subject(image.tag, path, image.descriptor, artifacts_beside(path), folder, None))
        yield found
        return
    registry, wanted = open_registry(text)
    resolved = resolve(registry, wanted, architecture)
    manifests = ([resolved.index] if indexes and resolved.index else []) + list(resolved.images)
    images = [pull_records(registry, *manifest) for manifest in manifests]
    with tempfile.TemporaryDirectory(prefix="millcert-image-") as name:
        subjects = []
        for pulled in images:
            path = Path(name) / pulled.name
            path.write_bytes(pulled.manifest)
            subjects.append(_Subject(text, path, pulled.descriptor, pulled.artifacts, None, registry))
        yield subjects


def _parts(subject: _Subject) -> list[Descriptor]:
    from millcert.image.manifest import parts_of

    return parts_of(json.loads(subject.path.read_bytes()))


def _config(subject: _Subject) -> Mapping[str, Any]:
    from millcert.image.layout import Layout

    config = _parts(subject)[0]
    data = subject.registry.small_blob(config) if subject.registry else Layout(subject.layout or Path()).read(config)
    document: Mapping[str, Any] = json.loads(data)
    return document


def _sbom(subject: _Subject) -> Mapping[str, Any]:
    from millcert.image.referrers import check_artifacts

    check_artifacts(subject.artifacts, subject.descriptor.digest, ["sbom"])
    document: Mapping[str, Any] = json.loads(next(a.data for a in subject.artifacts if a.kind == "sbom"))
    return document

"""A signed image: a copy of a built one, its provenance signed by the test suite's own Sigstore."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.images import Gallery
from tests.support.sigstore import Server, shared_server
from tests.support.sigstore.bundle import draft_bundle
from tests.support.sigstore.oidc import workflow_claims
from tests.support.sigstore.scene import IDENTITY

from millcert.attest.image import image_provenance, index_provenance
from millcert.cli import main
from millcert.hermetic.revision import Revision
from millcert.image.edition import Edition
from millcert.image.index import refresh_indexes
from millcert.image.layout import Layout
from millcert.image.project import BuiltImage

__all__ = ["SignedImage", "run_command", "sign_image", "sign_index", "signed_image"]


@dataclass(frozen=True)
class SignedImage:
    """A layout with its files beside it, and the options that verify it."""

    layout: Path
    manifest: Path
    digest: str
    tag: str
    options: tuple[str, ...]
    server: Server

    def sign(self, statement: bytes) -> bytes:
        """A bundle by the honest builder."""
        return draft_bundle(self.server.instance, statement, workflow_claims()).to_bytes()


@pytest.fixture
def signed_image(gallery: Gallery, tmp_path: Path) -> SignedImage:
    return sign_image(gallery.cpu, tmp_path)


def sign_image(built: BuiltImage, into: Path) -> SignedImage:
    """A copy of a built image in ``into``/dist with everything about it, signed."""
    server = shared_server()
    folder = into / "dist"
    layout = Path(shutil.copytree(built.folder, folder / built.edition.name, copy_function=_link))
    manifest = folder / built.manifest.name
    for source in (built.manifest, Path(f"{built.manifest}.cdx.json")):
        shutil.copy(source, folder)
    statement = image_provenance("millsample", built, Revision("a" * 40, 1795392000, False, (), ""), "urn:test")
    Path(f"{manifest}.provenance.json").write_bytes(statement)
    (into / "root.json").write_bytes(server.instance.trusted_root_json())
    options = (
        "--identity",
        IDENTITY,
        "--issuer",
        server.instance.issuer.url,
        "--trusted-root",
        str(into / "root.json"),
    )
    image = SignedImage(layout, manifest, built.digest, Layout(layout).image().tag, options, server)
    Path(f"{manifest}.sigstore.json").write_bytes(image.sign(statement))
    return image


def sign_index(images: Sequence[SignedImage], editions: Iterable[Edition]) -> Path:
    """The signed index over some images that lie in one folder."""
    folder = images[0].manifest.parent
    (index,) = refresh_indexes(folder, editions)
    statement = index_provenance("millsample", index, Revision("a" * 40, 1795392000, False, (), ""), "urn:test")
    path = folder / index.name
    Path(f"{path}.provenance.json").write_bytes(statement)
    Path(f"{path}.sigstore.json").write_bytes(images[0].sign(statement))
    return path


def _link(source: str, target: str) -> str:
    Path(target).hardlink_to(source)
    return target


def run_command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, object]]:
    """Run ``millcert image ... --json`` in this process: exit code and what it printed."""
    capsys.readouterr()
    try:
        main(["image", *map(str, arguments), "--json"])
        code = 0
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    return code, json.loads(capsys.readouterr().out)

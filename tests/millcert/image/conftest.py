"""Two images, built once a session from the machine's own store: one for the CPU, one in CUDA's layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from millcert.errors import FetchError, SandboxError
from millcert.image.project import BuiltImage
from millcert.store import Store

from tests.support.images import Workshop, lay_out, make_workshop


@dataclass(frozen=True)
class Gallery:
    """The built images by variant, and the CPU image's files laid out."""

    workshop: Workshop
    images: Mapping[str, BuiltImage]
    files: Path

    @property
    def cpu(self) -> BuiltImage:
        return self.images["cpu"]


@pytest.fixture(scope="session")
def gallery(warm_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    folder = tmp_path_factory.mktemp("images")
    workshop = make_workshop(folder / "project", warm_store)
    try:
        built, _ = workshop.build("cpu", "cu129")
    except FetchError as error:
        pytest.skip(f"an image's packages are not in the store and cannot be fetched: {error.message}")
    except SandboxError as error:
        pytest.skip(error.message)
    images = {image.variant.name: image for image in built}
    return Gallery(workshop, images, lay_out(images["cpu"].folder, folder / "files"))

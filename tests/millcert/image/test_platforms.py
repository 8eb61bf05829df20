"""Images for arm64: built here, run by an emulator, and under one tag with those for amd64."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.images import Gallery, blob, config_of, lay_out, manifest_of, run_inside
from tests.support.registry import FaultyRegistry, faulty_registry
from tests.support.signed_image import SignedImage, run_command, sign_image, sign_index

from millcert.image.index import refresh_indexes
from millcert.image.layout import Layout, TaggedManifest
from millcert.image.manifest import MANIFEST
from millcert.image.project import BuiltImage

REPOSITORY = "team/millsample"
AARCH64 = 183  # e_machine of ELF
TRAIN = """
import json, platform, numpy, millsample
x = numpy.array([3.0, -2.0])
for _ in range(50):
    x = x - 0.1 * millsample.gradient(x)
print(json.dumps([platform.machine(), float((x * x).sum())]))
"""


@pytest.fixture(scope="module")
def arm(gallery: Gallery, tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    (image,), _ = gallery.workshop.build("cpu-arm64", dist=tmp_path_factory.mktemp("arm"))
    return image


@pytest.fixture(scope="module")
def files(arm: BuiltImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(arm.folder, tmp_path_factory.mktemp("arm files") / "root")


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with faulty_registry() as running:
        yield running


@pytest.fixture
def both(gallery: Gallery, arm: BuiltImage, tmp_path: Path) -> list[SignedImage]:
    images = [sign_image(image, tmp_path) for image in (gallery.cpu, arm)]
    sign_index(images, [gallery.cpu.edition, arm.edition])
    return images


def test_the_image_says_what_it_is_for_and_holds_nothing_else(arm, files):
    assert config_of(arm.folder)["architecture"] == "arm64"
    (entry,) = json.loads((arm.folder / "index.json").read_bytes())["manifests"]
    assert entry["platform"] == {"os": "linux", "architecture": "arm64"}
    programs = [path for path in files.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"]
    assert len(programs) > 60
    assert [path for path in programs if int.from_bytes(path.read_bytes()[18:20], "little") != AARCH64] == []


def test_compiled_modules_and_so_a_layer_of_pure_python_are_the_same_for_both(gallery, arm):
    assert manifest_of(arm.folder)["layers"][-1] == manifest_of(gallery.cpu.folder)["layers"][-1]


def test_the_same_rules_leave_out_the_same(gallery, arm):
    for ours, theirs in zip(gallery.cpu.layers, arm.layers, strict=True):
        saved = [{rule["why"] for rule in layer.rules if rule["files"]} for layer in (ours, theirs)]
        assert saved[0] == saved[1]


@pytest.mark.slow
def test_an_emulator_runs_it(arm, files, tmp_path):
    emulator = shutil.which("qemu-aarch64-static")
    if emulator is None:
        pytest.skip("qemu-aarch64-static is not installed (apt-get install qemu-user-static)")
    config = config_of(arm.folder)
    healthy = run_inside(files, config, *config["config"]["Healthcheck"]["Test"][2:], work=tmp_path, emulator=emulator)
    assert healthy.returncode == 0, healthy.stderr
    trained = run_inside(files, config, "-c", TRAIN, work=tmp_path, emulator=emulator)
    assert trained.returncode == 0, trained.stderr
    machine, loss = json.loads(trained.stdout)
    assert (machine, loss < 1e-6) == ("aarch64", True)


def pushed(capsys: pytest.CaptureFixture[str], both: list[SignedImage], registry: FaultyRegistry) -> str:
    code, answer = run_command(capsys, "push", *(image.layout for image in both), f"{registry.host}/{REPOSITORY}")
    assert code == 0, answer
    return f"{registry.host}/{REPOSITORY}:{both[0].tag}"


def test_images_of_two_architectures_go_under_one_tag(both, registry, capsys):
    pushed(capsys, both, registry)
    assert set(registry.tags) == {both[0].tag}
    index = json.loads(registry.manifests[registry.tags[both[0].tag]][1])
    assert [(entry["platform"]["architecture"], entry["digest"]) for entry in index["manifests"]] == [
        ("amd64", f"sha256:{both[0].digest}"),
        ("arm64", f"sha256:{both[1].digest}"),
    ]
    assert registry.log[-1] == ("PUT", f"/v2/{REPOSITORY}/manifests/{both[0].tag}")


def test_every_image_of_an_index_is_verified(both, registry, capsys):
    reference = pushed(capsys, both, registry)
    code, found = run_command(capsys, "verify", reference, "--layers", *both[0].options)
    assert code == 0, found
    index = registry.tags[both[0].tag]
    assert [row["digest"] for row in found["verified"]] == [index, *(f"sha256:{image.digest}" for image in both)]
    bundle = next(
        data for _, data in registry.manifests.values()
        if json.loads(data).get("subject", {}).get("digest") == f"sha256:{both[1].digest}" and b"sigstore" in data
    )  # fmt: skip
    registry.manifests = {name: kept for name, kept in registry.manifests.items() if kept[1] != bundle}
    assert run_command(capsys, "verify", reference, *both[0].options)[0] == 14


def test_an_image_of_an_index_is_chosen_by_its_architecture(both, registry, capsys, tmp_path):
    reference = pushed(capsys, both, registry)
    for image, architecture in zip(both, ("amd64", "arm64"), strict=True):
        code, pulled = run_command(capsys, "pull", "--arch", architecture, reference, tmp_path / "copy")
        assert (code, pulled["digest"]) == (0, f"sha256:{image.digest}")
        assert run_command(capsys, "verify", str(pulled["layout"]), *image.options)[0] == 0
    code, found = run_command(capsys, "explain", "--arch", "arm64", reference)
    assert [layer["digest"] for layer in found["layers"]] == [
        layer["digest"] for layer in manifest_of(both[1].layout)["layers"]
    ]


def test_two_images_for_one_platform_are_refused_under_one_tag(both, registry, capsys):
    code, answer = run_command(capsys, "push", both[0].layout, both[0].layout, f"{registry.host}/{REPOSITORY}")
    assert (code, registry.tags) == (2, {})
    assert "one platform" in str(answer["message"])


def test_an_index_that_nobody_signed_is_not_pushed(both, registry, capsys):
    signature = both[0].manifest.with_name("cpu.index.json.sigstore.json")
    signature.unlink()
    layouts = [image.layout for image in both]
    code, answer = run_command(capsys, "push", *layouts, f"{registry.host}/{REPOSITORY}")
    assert (code, registry.tags) == (14, {})
    assert "signature" in str(answer["message"])
    code, _ = run_command(capsys, "push", "--unsigned", *layouts, f"{registry.host}/{REPOSITORY}")
    assert (code, set(registry.tags)) == (0, {both[0].tag})


def test_an_index_over_other_images_is_not_pushed(both, registry, capsys):
    path = both[0].manifest.with_name("cpu.index.json")
    path.write_bytes(path.read_bytes().replace(both[1].digest.encode(), b"0" * 64))
    code, answer = run_command(capsys, "push", *(image.layout for image in both), f"{registry.host}/{REPOSITORY}")
    assert (code, registry.tags) == (2, {})
    assert "lists others" in str(answer["message"])


def test_a_rebuild_of_one_architecture_takes_the_index_of_the_others_away(gallery, arm, both):
    path = both[0].manifest.with_name("cpu.index.json")
    other = json.loads(both[1].manifest.read_bytes())
    other["annotations"]["org.opencontainers.image.revision"] = "b" * 40
    layout = Layout(both[1].layout)
    layout.finish([TaggedManifest(arm.tag, layout.add_bytes(json.dumps(other).encode(), MANIFEST))])
    assert refresh_indexes(path.parent, [gallery.cpu.edition, arm.edition]) == []
    assert list(path.parent.glob("cpu.index.json*")) == []


def test_skopeo_reads_the_index(both, registry, capsys, tmp_path):
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed (apt-get install skopeo)")
    reference = pushed(capsys, both, registry)
    for image, architecture in zip(both, ("amd64", "arm64"), strict=True):
        target = tmp_path / architecture
        command = ["skopeo", "--insecure-policy", "--override-arch", architecture, "copy", "-q", "--preserve-digests",
                   "--src-tls-verify=false", f"docker://{reference}", f"oci:{target}:x"]  # fmt: skip
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        assert blob(target, image.digest).read_bytes() == image.manifest.read_bytes()

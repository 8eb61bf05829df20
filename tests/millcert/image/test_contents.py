"""What is in an image and what is not, read with tar and checked against the packages' own records."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import tarfile
from pathlib import Path

import pytest
from tests.support.images import Gallery, blob, config_of, files_of, layer_names, manifest_of

SITE = "usr/local/lib/python3.11/dist-packages"
LOCK = re.compile(r"^(\S+) (\S+) (amd64|all) ", re.MULTILINE)


def members(gallery: Gallery, variant: str = "cpu") -> list[tarfile.TarInfo]:
    layout = gallery.images[variant].folder
    found = []
    for layer in manifest_of(layout)["layers"]:
        with tarfile.open(blob(layout, layer["digest"])) as archive:
            found += archive.getmembers()
    return found


def locked(gallery: Gallery) -> dict[str, str]:
    text = (gallery.workshop.root / "lockfiles/debian/image-main.lock").read_text()
    return {match[1]: match[2] for match in LOCK.finditer(text)}


def test_layers_come_with_the_rarest_change_first(gallery):
    shared = ["base", "bytecode", "wheels"]
    assert layer_names(gallery.cpu.folder) == [*shared, "millsample"]
    whole, slim = (layer_names(gallery.images[name].folder) for name in ("cu129", "cu129-slim"))
    assert whole == [*shared, "cupy-cuda12x", "cuda-12.9", "cublas-12.9", "millsample"]
    assert slim == [*shared, "cupy-cuda12x-slim", "millsample"]


def test_cpu_and_cuda_images_share_their_first_layers_byte_for_byte(gallery):
    cpu, cuda = (manifest_of(gallery.images[name].folder)["layers"] for name in ("cpu", "cu129"))
    assert cpu[:3] == cuda[:3]
    assert not {layer["digest"] for layer in cpu[3:]} & {layer["digest"] for layer in cuda[3:]}


def test_a_slim_image_is_the_whole_one_without_a_compiler_cublas_and_what_needs_them(gallery):
    whole, slim = (files_of(gallery.images[name].folder) for name in ("cu129", "cu129-slim"))
    folder = tarfile.DIRTYPE
    gone = {name.removeprefix(f"{SITE}/") for name in set(whole) - set(slim) if whole[name][0] != folder}
    assert {name for name in gone if not name.startswith("nvidia")} == {
        "cupy/_core/include/a.cuh", "cupy/cuda/jitify.so", "cupy/cuda/thrust.so", "cupy_backends/cuda/libs/nccl.so",
        "cupyx/jit/rawkernel.cu",
    }  # fmt: skip
    assert [name for name in slim if "nvidia" in name] == []
    changed = {name.removeprefix(f"{SITE}/") for name in set(whole) & set(slim) if whole[name] != slim[name]}
    assert changed == {"cupy_cuda12x-14.0.dist-info/PRUNED", "cupy_cuda12x-14.0.dist-info/RECORD"}


def test_a_pruned_distribution_says_so_in_its_record_and_in_the_sbom(gallery):
    image = gallery.images["cu129-slim"]
    components = json.loads(Path(f"{image.manifest}.cdx.json").read_bytes())["components"]
    cupy = next(component for component in components if component["name"] == "cupy-cuda12x")
    facts = {fact["name"]: fact["value"] for fact in cupy["properties"]}
    # as tests/support/images.py writes them: a test of no bytes, and five files of one byte
    assert (facts["millcert:pruned_files"], facts["millcert:pruned_bytes"]) == ("6", "5")
    assert "6 files (5 bytes)" in cupy["pedigree"]["notes"]
    assert not {component["name"] for component in components} & {"nvidia-cublas-cu12", "nvidia-cuda-nvrtc-cu12"}
    (layer,) = (layer for layer in image.layers if layer.planned.name == "cupy-cuda12x-slim")
    with tarfile.open(layer.blob) as archive:
        folder = f"{SITE}/cupy_cuda12x-14.0.dist-info"
        told, record = (archive.extractfile(f"{folder}/{name}").read().decode() for name in ("PRUNED", "RECORD"))
    rules = {rule["why"]: rule["files"] for rule in layer.rules if rule["files"]}
    assert {why: int(count.split()[0]) for count, why in (line.split(": ", 1) for line in told.splitlines())} == rules
    assert len(rules) == 6
    assert "thrust" not in record
    assert "dist-info/PRUNED,sha256=" in record


def test_the_compiled_standard_library_is_a_layer_of_its_own(gallery):
    layers = manifest_of(gallery.cpu.folder)["layers"]
    names = []
    for layer in layers[:2]:
        with tarfile.open(blob(gallery.cpu.folder, layer["digest"])) as archive:
            names.append({member.name for member in archive if not member.isdir()})
    base, bytecode = names
    assert [name for name in base if name.endswith(".pyc")] == []
    assert {
        name for name in bytecode if not re.fullmatch(r"usr/lib/python3\.11/(.*/)?__pycache__/.*\.pyc", name)
    } == set()
    sources = {name.replace("__pycache__/", "").replace(".cpython-311.pyc", ".py") for name in bytecode}
    assert sources <= base
    assert len(sources) > 500


def test_every_package_has_its_record_and_its_licence(gallery):
    status = gallery.files / "var/lib/dpkg/status.d"
    for name, version in locked(gallery).items():
        control = (status / name).read_text()
        assert f"Package: {name}\n" in control
        assert f"Version: {version}\n" in control
        assert (gallery.files / "usr/share/doc" / name / "copyright").resolve().is_file(), name
    assert {path.name.removesuffix(".md5sums") for path in status.iterdir()} == set(locked(gallery))


def test_package_records_name_the_files_that_are_there(gallery):
    listed = {}
    for record in (gallery.files / "var/lib/dpkg/status.d").glob("*.md5sums"):
        for line in record.read_text().splitlines():
            digest, path = line.split("  ", 1)
            listed[path] = digest
    for path in ("usr/bin/python3.11", "usr/lib/x86_64-linux-gnu/libc.so.6", "etc/ssl/certs/ca-certificates.crt"):
        assert listed[path] == hashlib.md5((gallery.files / path).read_bytes()).hexdigest()
    assert all((gallery.files / path).is_file() for path in listed)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(^|/)(sh|bash|dash|ash|zsh|busybox)$",
        r"bin/(apt|apt-get|dpkg|pip|pip3|easy_install|perl|mount|su|sudo|passwd)$",
        r"(^|/)(pip|setuptools|ensurepip)/",
        r"(^|/)(tests?|idlelib|tkinter|lib2to3)/",
        r"\.(a|h|hpp|pxd|pyi|c|cpp)$",
        r"^usr/share/(man|info|locale|lintian)/",
        r"^usr/share/doc/.*(?<!copyright)(?<!minimal)(?<!stdlib)(?<!s1)(?<!\+\+6)$(?<!/)",
    ],
    ids=["shell", "tools", "installers", "tests", "development", "manuals", "documents"],
)
def test_what_must_not_be_there_is_not(gallery, pattern):
    names = [member.name for member in members(gallery) if not member.isdir()]
    assert [name for name in names if re.search(pattern, name)] == []


def test_owners_modes_and_times_are_the_declared_ones(gallery):
    for member in members(gallery):
        assert member.mtime == 315532800
        assert not member.mode & (stat.S_ISUID | stat.S_ISGID), member.name
        assert member.isdir() or member.isreg() or member.issym(), member.name
        owner = 65532 if member.name == "work" else 0
        assert (member.uid, member.gid, member.uname, member.gname) == (owner, owner, "", "")
        if not member.issym():
            writable = 0o1777 if member.name in ("tmp", "var/tmp") else 0o755
            assert member.mode in (writable, 0o644), member.name


def test_no_layer_hides_a_file_of_another(gallery):
    files = [member.name for member in members(gallery, "cu129") if not member.isdir()]
    assert len(files) == len(set(files))


def test_members_are_sorted_and_their_folders_come_first(gallery):
    for layer in manifest_of(gallery.cpu.folder)["layers"]:
        with tarfile.open(blob(gallery.cpu.folder, layer["digest"])) as archive:
            names = [member.name for member in archive]
        assert names == sorted(names)
        assert all(name.rpartition("/")[0] in {"", *names} for name in names)


def test_digests_in_the_config_are_those_of_the_unpacked_layers(gallery):
    import gzip

    layout = gallery.cpu.folder
    found = [hashlib.sha256(gzip.decompress(blob(layout, layer["digest"]).read_bytes())).hexdigest()
             for layer in manifest_of(layout)["layers"]]  # fmt: skip
    assert config_of(layout)["rootfs"]["diff_ids"] == [f"sha256:{digest}" for digest in found]


def test_the_config_says_how_to_start_and_whether_it_works(gallery):
    config = config_of(gallery.cpu.folder)
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Entrypoint"] == ["/usr/bin/python3.11"]
    assert config["config"]["WorkingDir"] == "/work"
    assert config["config"]["Healthcheck"]["Test"][0] == "CMD"
    assert "NVIDIA_VISIBLE_DEVICES=all" not in config["config"]["Env"]
    assert "NVIDIA_VISIBLE_DEVICES=all" in config_of(gallery.images["cu129"].folder)["config"]["Env"]
    labels = config["config"]["Labels"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert manifest_of(gallery.cpu.folder)["annotations"] == {**labels, "millcert.name": "cpu.manifest.json"}


def test_every_prune_rule_saves_something(gallery):
    saved: dict[str, int] = {}
    for layer in [layer for image in gallery.images.values() for layer in image.layers]:
        for rule in layer.rules:
            saved[rule["why"]] = saved.get(rule["why"], 0) + rule["files"]
    assert [why for why, files in saved.items() if not files] == []


def test_the_sbom_lists_every_package_with_the_reason_for_it(gallery):
    document = json.loads(Path(f"{gallery.cpu.manifest}.cdx.json").read_bytes())
    assert document["metadata"]["component"]["version"] == gallery.cpu.tag
    components = {component["name"]: component for component in document["components"]}
    assert set(components) == {*locked(gallery), "numpy", "safetensors", "millsample"}
    reasons = {n: {p["name"]: p["value"] for p in c["properties"]} for n, c in components.items()}
    assert reasons["ca-certificates"]["millcert:why"] == "HTTPS"
    assert "needed by" in reasons["libc6"]["millcert:why"]
    assert reasons["numpy"]["millcert:layer"] == "wheels"
    total = sum(
        path.stat().st_size for path in (gallery.files / "usr").rglob("*") if path.is_file() and not path.is_symlink()
    )
    assert 0.9 * total < sum(int(facts["millcert:bytes"]) for facts in reasons.values()) < 1.1 * total

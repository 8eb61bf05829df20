"""Hostile packages on their way into an image: each attack must end in a typed error, and leave no image behind."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.support.images import SAMPLE, VERSION, Workshop, make_workshop, pin_lines, seed, write_wheel

from millcert import debian
from millcert.errors import BuildError, HashMismatchError, LockError, MillcertError, UnsafeArchiveError, UsageError
from millcert.image import steps
from millcert.image.layout import Layout
from millcert.image.manifest import Descriptor
from millcert.image.plan import site_packages
from millcert.image.unpack import unpack_package
from millcert.lock import read_lock
from millcert.model import parse_digest
from millcert.store import Store

Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, data: bytes = b"x", mode: int = 0o644) -> Member:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    return info, data


def special(name: str, kind: bytes, target: str = "") -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def write_deb(path: Path, *members: Member, name: str = "thing") -> Path:
    """A .deb of these members, written without any packaging tool."""

    def tar(entries: tuple[Member, ...]) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:xz") as archive:
            for info, data in entries:
                archive.addfile(info, io.BytesIO(data))
        return stream.getvalue()

    control = f"Package: {name}\nVersion: 1\nArchitecture: all\n".encode()
    parts = {
        "debian-binary": b"2.0\n", "control.tar.xz": tar((file("./control", control),)), "data.tar.xz": tar(members),
    }  # fmt: skip
    with path.open("wb") as stream:
        stream.write(b"!<arch>\n")
        for part, data in parts.items():
            stream.write(f"{part:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode())
            stream.write(data + b"\n" * (len(data) % 2))
    return path


ATTACKS: dict[str, tuple[Member, ...]] = {
    "absolute path": (file("/etc/passwd"),),
    "path upwards": (file("./usr/../../etc/passwd"),),
    "link out of the tree": (special("./usr/lib/x", tarfile.SYMTYPE, "../../../etc/shadow"),),
    "write through a link": (special("./usr/lib/x", tarfile.SYMTYPE, "/tmp"), file("./usr/lib/x/millcert-was-here")),
    "device": (special("./dev/sda", tarfile.BLKTYPE),),
    "pipe": (special("./run/pipe", tarfile.FIFOTYPE),),
    "setuid": (file("./usr/bin/su", mode=0o4755),),
    "setgid": (file("./usr/bin/wall", mode=0o2755),),
    "case collision": (file("./usr/share/a"), file("./usr/share/A")),
    "one path twice": (file("./usr/share/a"), file("./usr/share/a", b"y")),
    "hard link to a file of the builder": (special("./usr/share/a", tarfile.LNKTYPE, "/etc/passwd"),),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_deb_is_refused(attack, tmp_path):
    (tmp_path / "into").mkdir()
    deb = write_deb(tmp_path / "thing.deb", *ATTACKS[attack])
    with pytest.raises(UnsafeArchiveError) as caught:
        unpack_package(deb, tmp_path / "into")
    assert caught.value.evidence["file"] == "thing.deb"


def test_a_plain_deb_is_not_refused(tmp_path):
    (tmp_path / "into").mkdir()
    unpack_package(write_deb(tmp_path / "thing.deb", file("./usr/share/a", b"hello")), tmp_path / "into")
    assert (tmp_path / "into/root/usr/share/a").read_bytes() == b"hello"
    assert (tmp_path / "into/packages/thing/files").read_text() == "usr/share/a\n"


def test_a_deb_that_unpacks_to_too_much_is_refused(tmp_path):
    (tmp_path / "into").mkdir()
    deb = write_deb(tmp_path / "bomb.deb", file("./usr/share/zeros", bytes(8 << 20)))
    assert deb.stat().st_size < 10_000
    with pytest.raises(UnsafeArchiveError, match="more than allowed"):
        debian.unpack(deb, tmp_path / "into", debian.Rules(max_bytes=1 << 20))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (file("./usr/share/a"), file("./usr/share/a"), "another package brought already"),
        (file("./usr/share/a"), file("./usr/share/A"), "differ only in case"),
        (file("./lib/a"), file("./usr/lib/a"), "another package brought already"),
    ],
    ids=["one file", "case", "merged /usr"],
)
def test_two_packages_with_one_file_are_refused(first, second, message, tmp_path):
    (tmp_path / "into").mkdir()
    unpack_package(write_deb(tmp_path / "one.deb", first, name="one"), tmp_path / "into")
    with pytest.raises(UnsafeArchiveError, match=message):
        unpack_package(write_deb(tmp_path / "two.deb", second, name="two"), tmp_path / "into")


def test_one_package_twice_is_refused(tmp_path):
    (tmp_path / "into").mkdir()
    unpack_package(write_deb(tmp_path / "one.deb", file("./usr/share/a")), tmp_path / "into")
    with pytest.raises(UnsafeArchiveError, match="one package twice"):
        unpack_package(write_deb(tmp_path / "two.deb", file("./usr/share/b")), tmp_path / "into")


# -- wheels


def hostile_wheel(folder: Path, attack: str) -> Path:
    """The project's wheel with one bad member."""
    path = write_wheel(folder, "millsample", f"{VERSION}+cpu", SAMPLE)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo({"absolute": "/etc/passwd", "upwards": "../../etc/passwd"}.get(attack, "millsample/x"))
        info.external_attr = {"link": 0o120777, "device": 0o060644}.get(attack, 0o100644) << 16
        if attack == "case":
            info.filename = "MillSample/__init__.py"
        archive.writestr(info, b"../../../etc/shadow")
    return path


@pytest.mark.parametrize("attack", ["absolute", "upwards", "link", "device", "case"])
def test_a_hostile_wheel_of_the_project_is_refused(attack, gallery, tmp_path):
    wheel = hostile_wheel(tmp_path, attack)
    workshop = Workshop(gallery.workshop.root, gallery.workshop.store, {"cpu": wheel})
    with pytest.raises(UnsafeArchiveError):
        workshop.build("cpu", dist=tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


def test_a_file_that_the_wheels_record_does_not_list_is_refused(gallery, tmp_path):
    files = {**SAMPLE, "millsample/smuggled.txt": b"x = 1\n"}
    wheel = write_wheel(tmp_path, "millsample", f"{VERSION}+cpu", files, unlisted=["millsample/smuggled.txt"])
    workshop = Workshop(gallery.workshop.root, gallery.workshop.store, {"cpu": wheel})
    with pytest.raises(BuildError, match="the command failed") as caught:
        workshop.build("cpu", dist=tmp_path / "dist")
    assert "millsample/smuggled.txt" in caught.value.evidence["log"]
    assert not (tmp_path / "dist").exists()


def test_the_step_that_packs_refuses_what_differs_only_in_case_by_itself(tmp_path):
    source = tmp_path / "unpacked"
    (source / "a.dist-info").mkdir(parents=True)
    (source / "a.dist-info/RECORD").write_text("thing.txt,,\nThing.txt,,\na.dist-info/RECORD,,\n")
    for name in ("thing.txt", "Thing.txt"):
        (source / name).touch()
    spec: dict[str, object] = {"sources": [{"kind": "site", "path": str(source), "prefix": "site"}], "clock": 0,
                               "compression": "gzip", "level": 1, "prune": [], "compiled": []}  # fmt: skip
    spec |= {"compiled_alone": False, **{key: {} for key in ("joined", "files", "links", "folders")}}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    step = Path(steps.__file__).with_name("pack_layer.py")
    command = [
        sys.executable,
        str(step),
        str(tmp_path / "spec.json"),
        str(tmp_path / "layer"),
        str(tmp_path / "report"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, "differ only in case" in result.stderr) == (1, True)
    assert not (tmp_path / "layer").exists()


@pytest.mark.parametrize("path", ["numpy/__init__.py", "NumPy/__Init__.py"], ids=["same", "case"])
def test_a_wheel_that_replaces_a_file_of_another_layer_is_refused(path, gallery, tmp_path):
    files = {**SAMPLE, path: b"import os\n"}
    wheel = write_wheel(tmp_path, "millsample", f"{VERSION}+cpu", files)
    workshop = Workshop(gallery.workshop.root, gallery.workshop.store, {"cpu": wheel})
    with pytest.raises(UnsafeArchiveError, match="two layers with one file") as caught:
        workshop.build("cpu", dist=tmp_path / "dist")
    assert caught.value.evidence["path"].endswith(path)
    assert not (tmp_path / "dist").exists()


def test_a_wheel_of_another_variant_is_refused(gallery, tmp_path):
    workshop = Workshop(gallery.workshop.root, gallery.workshop.store, {"cpu": gallery.workshop.wheels["cu129"]})
    with pytest.raises(UsageError, match="another variant"):
        workshop.build("cpu", dist=tmp_path / "dist")


def test_a_wheel_of_another_architecture_is_refused(gallery, tmp_path):
    wheel = gallery.workshop.wheels["cpu"]
    foreign = tmp_path / wheel.name.replace("py3-none-any", "cp311-abi3-manylinux_2_17_aarch64")
    shutil.copy(wheel, foreign)
    workshop = Workshop(gallery.workshop.root, gallery.workshop.store, {"cpu": foreign})
    with pytest.raises(UsageError, match="another architecture"):
        workshop.build("cpu", dist=tmp_path / "dist")


def test_two_runtime_locks_that_disagree_are_refused(gallery, tmp_path):
    shared = gallery.workshop.root / "lockfiles/runtime/cpu.txt"
    other = tmp_path / "cu129.txt"
    wheel = write_wheel(tmp_path, "numpy", "0.1", {"numpy/__init__.py": b""})
    other.write_bytes(pin_lines(wheel, "runtime/cu129.in"))
    with pytest.raises(LockError, match="could not share a layer"):
        site_packages(read_lock(shared), read_lock(other), None, gallery.images["cu129"].edition)


# -- bytes that are not the locked ones


@pytest.mark.parametrize("name", ["tzdata", "safetensors"])
def test_a_package_whose_bytes_changed_in_the_store_is_refused(name, gallery, tmp_path):
    store = Store(tmp_path / "store")
    make_workshop(tmp_path / "project", store)
    materials = {material.name: material for material in gallery.cpu.materials}
    seed(store, gallery.workshop.store, [materials[name].digest])
    blob = store.root / "blobs" / materials[name].digest[:2] / materials[name].digest
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    with pytest.raises(HashMismatchError) as caught:
        store.path(materials[name].digest)
    assert caught.value.evidence["expected"] == materials[name].digest
    assert not blob.exists()


@pytest.mark.parametrize("part", ["config", "layer"])
def test_an_altered_blob_of_a_layout_is_noticed(part, gallery, tmp_path):
    copy = tmp_path / "layout"
    shutil.copytree(gallery.cpu.folder, copy)
    layout = Layout(copy)
    manifest = layout.json(layout.image().descriptor)
    entry = manifest["config"] if part == "config" else manifest["layers"][-1]
    blob = copy / "blobs/sha256" / entry["digest"].removeprefix("sha256:")
    blob.chmod(0o644)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    with pytest.raises(MillcertError, match="was altered"):
        layout.path(Descriptor(entry["mediaType"], parse_digest(entry["digest"]), entry["size"]))

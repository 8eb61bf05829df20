"""Images in registries: one with the referrers API, one without, and Debian's own; skopeo and podman as judges."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.images import SAMPLE, VERSION, Gallery, Workshop, blob, write_wheel
from tests.support.registry import debian_registry, faulty_registry
from tests.support.signed_image import SignedImage, run_command, signed_image
from tests.support.sigstore.oidc import workflow_claims

from millcert.cli import main

__all__ = ["signed_image"]

REPOSITORY = "team/millsample"


@pytest.fixture(params=["with referrers", "without referrers", "debian"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "debian":
        try:
            with debian_registry(tmp_path) as address:
                yield address
        except FileNotFoundError as error:
            pytest.skip(str(error))
        return
    with faulty_registry(referrers_api=request.param == "with referrers") as registry:
        yield registry.host


@pytest.fixture
def debian(tmp_path: Path) -> Iterator[str]:
    try:
        with debian_registry(tmp_path) as address:
            yield address
    except FileNotFoundError as error:
        pytest.skip(str(error))


def served(host: str, path: str) -> bytes:
    accept = "application/vnd.oci.image.manifest.v1+json"
    request = urllib.request.Request(f"http://{host}/v2/{REPOSITORY}/{path}", headers={"Accept": accept})
    with urllib.request.urlopen(request) as response:
        return bytes(response.read())


def test_a_pushed_image_keeps_every_byte_and_is_verified_from_there(host, signed_image: SignedImage, capsys):
    code, pushed = run_command(capsys, "push", signed_image.layout, f"{host}/{REPOSITORY}")
    assert code == 0
    assert pushed["pushed"][0]["digest"] == f"sha256:{signed_image.digest}"
    manifest = served(host, f"manifests/{signed_image.tag}")
    assert manifest == signed_image.manifest.read_bytes()
    for part in (json.loads(manifest)["config"], *json.loads(manifest)["layers"]):
        assert served(host, f"blobs/{part['digest']}") == blob(signed_image.layout, part["digest"]).read_bytes()
    reference = f"{host}/{REPOSITORY}:{signed_image.tag}"
    code, verified = run_command(capsys, "verify", reference, "--layers", *signed_image.options)
    assert code == 0, verified
    assert verified["verified"][0]["blobs"] == 5


def test_a_second_push_sends_nothing(host, signed_image, capsys):
    run_command(capsys, "push", signed_image.layout, f"{host}/{REPOSITORY}")
    code, again = run_command(capsys, "push", signed_image.layout, f"{host}/{REPOSITORY}")
    assert (code, again["pushed"][0]["sent"]) == (0, 0)


def test_a_pulled_image_is_verified_without_a_network(host, signed_image, capsys, tmp_path):
    run_command(capsys, "push", signed_image.layout, f"{host}/{REPOSITORY}")
    code, pulled = run_command(capsys, "pull", f"{host}/{REPOSITORY}:{signed_image.tag}", tmp_path / "copy")
    assert code == 0, pulled
    layout = Path(str(pulled["layout"]))
    for path in signed_image.layout.glob("blobs/sha256/*"):
        assert blob(layout, path.name).read_bytes() == path.read_bytes()
    offline = {**os.environ, "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    command = ["unshare", "--net", "--map-root-user", "python3", "-c", "pass"]
    cut = command[:-3] if subprocess.run(command, capture_output=True, check=False).returncode == 0 else []
    result = subprocess.run(
        [*cut, sys.executable, "-m", "millcert", "image", "verify", str(layout), *signed_image.options],
        env={**offline, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert signed_image.digest in result.stdout


def test_another_signer_is_refused(host, signed_image, capsys):
    run_command(capsys, "push", signed_image.layout, f"{host}/{REPOSITORY}")
    options = [o if "github.com" not in o else "someone@example.org" for o in signed_image.options]
    code, answer = run_command(capsys, "verify", f"{host}/{REPOSITORY}:{signed_image.tag}", *options)
    assert (code, answer["exit_code"]) == (14, 14)


def test_explain_lists_layers_and_reasons_from_the_registry(host, signed_image, capsys):
    run_command(capsys, "push", signed_image.layout, f"{host}/{REPOSITORY}")
    code, found = run_command(capsys, "explain", f"{host}/{REPOSITORY}@sha256:{signed_image.digest}")
    assert code == 0
    assert [layer["name"] for layer in found["layers"]] == ["base", "bytecode", "wheels", "millsample"]
    assert found["packages"]["netbase"]["why"].startswith("/etc/protocols")


def test_diff_names_the_packages_layers_and_files_that_changed(gallery: Gallery, signed_image, capsys, tmp_path):
    changed = {**SAMPLE, "millsample/new.py": b"x = 1\n"}
    wheel = write_wheel(tmp_path, "millsample", f"{VERSION}+cpu", changed)
    dist = tmp_path / "other"
    Workshop(gallery.workshop.root, gallery.workshop.store, {"cpu": wheel}).build("cpu", dist=dist)
    code, found = run_command(capsys, "diff", signed_image.layout, dist / "images/cpu")
    assert code == 0
    names = {(change["what"], change["name"].rpartition("/")[2]) for change in found["changes"]}
    assert ("layer", "millsample") in names
    assert ("file", "new.py") in names
    assert not any(name in ("base", "numpy") for _, name in names)
    assert run_command(capsys, "diff", signed_image.layout, signed_image.layout) == (0, {"changes": []})


def test_unsigned_images_are_pushed_only_when_that_is_said(signed_image, capsys):
    Path(f"{signed_image.manifest}.sigstore.json").unlink()
    with faulty_registry() as registry:
        code, answer = run_command(capsys, "push", signed_image.layout, f"{registry.host}/{REPOSITORY}")
        assert (code, registry.tags) == (14, {})
        assert "signature" in str(answer["message"])
        assert run_command(capsys, "push", "--unsigned", signed_image.layout, f"{registry.host}/{REPOSITORY}")[0] == 0


def test_skopeo_reads_the_layout_and_the_registry_alike(debian, signed_image, capsys, tmp_path):
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed (apt-get install skopeo)")
    run_command(capsys, "push", signed_image.layout, f"{debian}/{REPOSITORY}")
    sources = [f"oci:{signed_image.layout}:{signed_image.tag}", f"docker://{debian}/{REPOSITORY}:{signed_image.tag}"]
    for source in sources:
        command = ["skopeo", "inspect", "--tls-verify=false", source]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        assert json.loads(result.stdout)["Digest"] == f"sha256:{signed_image.digest}"
    target = f"oci:{tmp_path / 'copied'}:x"
    command = [
        "skopeo",
        "--insecure-policy",
        "copy",
        "-q",
        "--src-tls-verify=false",
        "--preserve-digests",
        sources[1],
        target,
    ]
    subprocess.run(command, check=True)
    assert blob(tmp_path / "copied", signed_image.digest).read_bytes() == signed_image.manifest.read_bytes()


@pytest.fixture
def podman() -> Iterator[list[str]]:
    """Podman with a store of its own; its paths must be short."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed (apt-get install podman)")
    with tempfile.TemporaryDirectory(prefix="mc-") as folder:
        command = ["podman", "--root", f"{folder}/root", "--runroot", f"{folder}/run", "--storage-driver", "vfs"]
        yield [*command, "--runtime", "runc", "--cgroup-manager", "cgroupfs"]


def test_podman_pulls_the_image_from_the_registry_and_trains_in_it(debian, signed_image, capsys, podman, tmp_path):
    run_command(capsys, "push", signed_image.layout, f"{debian}/{REPOSITORY}")
    reference = f"{debian}/{REPOSITORY}@sha256:{signed_image.digest}"
    command = [*podman, "pull", "-q", "--tls-verify=false", reference]
    pulled = subprocess.run(command, capture_output=True, text=True, check=False)
    if pulled.returncode:
        pytest.skip(f"this machine does not let podman work: {pulled.stderr.strip()[-200:]}")
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)
    (work / "train.py").write_text("import os, millsample\nprint(os.getuid(), millsample.gradient([3.0])[0])\n")
    # without explicit limits podman asks for more files than a container may open
    limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
    run = ["run", "--rm", "--network=none", "--read-only", *limits, "-v", f"{work}:/work", reference, "train.py"]
    result = subprocess.run([*podman, *run], capture_output=True, text=True, timeout=120, check=False)
    if result.returncode in (125, 126) and not result.stdout:
        pytest.skip(f"this machine lets podman start nothing: {result.stderr.strip()[-200:]}")
    assert (result.returncode, result.stdout) == (0, "65532 6.0\n"), result.stderr


def test_millcert_sign_signs_an_image_by_its_manifest(signed_image, capsys, tmp_path):
    Path(f"{signed_image.manifest}.sigstore.json").unlink()
    assert run_command(capsys, "verify", signed_image.layout, *signed_image.options)[0] == 14
    instance = signed_image.server.instance
    config = tmp_path / "trust.json"
    config.write_bytes(instance.trust_config_json(rekor=2))
    token = instance.issuer.token(workflow_claims())
    main(["sign", str(signed_image.manifest), "--trust-config", str(config), "--identity-token", token])
    code, found = run_command(capsys, "verify", signed_image.layout, *signed_image.options)
    assert (code, found["verified"][0]["digest"]) == (0, f"sha256:{signed_image.digest}")

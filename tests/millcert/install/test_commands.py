"""``millcert install``, ``explain``, ``kit`` and ``serve``, as processes and against real clients."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.support.installing import FIRST, INDEX, SECOND, WOOTZ, Client, Stall, instance, new_environment
from tests.support.nightly import NOW, installed, pip, uv
from tests.support.serving import answering
from tests.support.sigstore.scene import BUILD_TYPE, BUILDER_ID, IDENTITY

from millcert.install.installer import open_index
from millcert.install.proxy import Gate, serve
from millcert.install.source import HttpSource

ROOT = Path(__file__).parents[3]


@pytest.fixture
def options(stall: Stall, tmp_path: Path) -> list[str]:
    """What every command must be told."""
    policy = tmp_path / "policy.toml"
    policy.write_text(
        f'[[builder]]\nidentity = "{IDENTITY}"\nissuer = "{instance().issuer.url}"\n'
        f'build-type = "{BUILD_TYPE}"\nbuilder-id = "{BUILDER_ID}"\n'
    )
    root = tmp_path / "root.json"
    root.write_bytes(stall.nightly.root)
    sigstore = tmp_path / "sigstore.json"
    sigstore.write_bytes(instance().trusted_root_json())
    return ["--root", str(root), "--policy", str(policy), "--trusted-root", str(sigstore),
            "--state", str(tmp_path / "state")]  # fmt: skip


def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "build" / "src")}
    command = [sys.executable, "-m", "millcert", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert result.returncode == code, result.stdout + result.stderr
    return result


def test_install_into_an_environment_and_explain_it(
    stall: Stall, site: str, options: list[str], tmp_path: Path
) -> None:
    environment = new_environment(tmp_path / "env")
    python = ["--python", str(environment.python)]
    where = ["wootz", "--nightly", "--index-url", site, *python]
    dry = run("install", *where, "--dry-run", *options)
    assert "variant cpu: no NVIDIA driver library" in dry.stderr
    assert re.search(r"^ +7 signature: by certificate", dry.stdout, re.MULTILINE)
    young = run("install", *where, "--variant", "cpu", "--cooldown", "3d", *options, code=14)
    assert "no release was attested long enough ago" in young.stderr
    done = json.loads(run("install", *where, "--variant", "cpu", "--json", *options).stdout)
    assert done["installed"] and done["chain"]["version"] == FIRST
    told = subprocess.run(
        [environment.python, "-I", "-c", "import wootz; print(wootz.anvil.weight)"], capture_output=True
    )
    assert told.stdout == b"7\n"
    explained = run("explain", "wootz", *python, *options[-2:])
    assert IDENTITY in explained.stdout
    wheel = next((stall.nightly.site.root / "files" / "wootz").glob("*.whl"))
    assert IDENTITY in run("explain", str(wheel), *options[-2:]).stdout
    (tmp_path / wheel.name).write_bytes(wheel.read_bytes() + b"\0")
    assert "verified no wheel" in run("explain", str(tmp_path / wheel.name), *options[-2:], code=2).stderr
    version, folder = environment.installed("wootz")
    assert version == FIRST
    assert not list(folder.glob("wootz-*.dist-info/direct_url.json"))
    (folder / "wootz.py").write_text("import evil\n")
    assert "altered since: wootz.py" in run("explain", "wootz", *python, *options[-2:], code=6).stdout


def test_a_kit_is_made_checked_and_installed_without_a_network(
    stall: Stall, site: str, options: list[str], tmp_path: Path
) -> None:
    kit = tmp_path / "wootz.kit"
    create = ("kit", "create", "wootz", "--index", INDEX, "--index-url", site, "--out", str(kit), *options)
    assert "not a version" in run(*create, "--version", "newest", code=2).stderr
    made = json.loads(run(*create, "--json").stdout)
    assert (made["kit"], made["version"]) == (str(kit), FIRST)
    assert made["bytes"] > 1000
    elsewhere = [*options[:-1], str(tmp_path / "elsewhere")]
    checked = json.loads(run("kit", "verify", str(kit), "--json", *elsewhere).stdout)
    assert [wheel["file"].split("-")[0] for wheel in checked["chain"]["wheels"]] == ["wootz", "anvil"]
    future = (NOW + timedelta(days=2)).isoformat()
    assert "--as-of is in the future" in run("kit", "verify", str(kit), "--as-of", future, *elsewhere, code=14).stderr
    run("kit", "verify", str(kit), "--as-of", (NOW - timedelta(days=1)).isoformat(), *elsewhere)
    run("kit", "install", str(kit), "--target", str(tmp_path / "target"), *elsewhere)
    assert installed(tmp_path / "target") == {f"wootz-{FIRST}", "anvil-2.0"}


def server(site: str, client: Client, refused: list[str]) -> HTTPServer:
    """The proxy on loopback; ``refused`` grows by what it refuses."""
    state = client.state
    source = HttpSource(site, client.transport)
    gate = Gate(
        lambda: open_index(source, client.anchor, state, NOW), client.verifier(), state, frozenset({WOOTZ}),
        lambda filename, received, size: None,
    )  # fmt: skip
    return serve(gate, 0, refused.append)


@contextmanager
def proxy(site: str, client: Client) -> Iterator[tuple[str, list[str]]]:
    """A running proxy: its address, and what it refused."""
    refused: list[str] = []
    with answering(server(site, client, refused)) as address:
        yield address, refused


def through(tool: Any, address: str, target: Path) -> subprocess.CompletedProcess[str]:
    """Install wootz with pip or uv from the proxy."""
    index = f"{address}/{INDEX}/"
    if tool is pip:
        return pip("install", "--pre", "--index-url", index, "--no-cache-dir", "--target", str(target), "wootz")
    return uv("install", "--prerelease", "allow", "--default-index", index, "--target", str(target), "wootz")


@pytest.mark.parametrize("tool", [pip, uv])
def test_pip_and_uv_install_through_the_proxy(site: str, client: Client, tmp_path: Path, tool: Any) -> None:
    with proxy(site, client) as (address, refused):
        result = through(tool, address, tmp_path / "target")
    assert result.returncode == 0, result.stderr + "".join(refused)
    assert {f"wootz-{FIRST}", "anvil-2.0"} <= installed(tmp_path / "target")


@pytest.mark.parametrize("tool", [pip, uv])
def test_pip_and_uv_get_nothing_that_does_not_verify(
    stall: Stall, site: str, client: Client, tmp_path: Path, tool: Any
) -> None:
    from tests.support.sigstore import workflow_claims

    stall.night(SECOND, claims=[workflow_claims("evil/wootz")])
    with proxy(site, client) as (address, refused):
        result = through(tool, address, tmp_path / "target")
    assert result.returncode != 0
    assert any("signed by somebody the policy does not name" in line for line in refused)
    assert not installed(tmp_path / "target")


def test_the_proxy_answers_to_no_other_name(site: str, client: Client) -> None:
    import http.client

    with proxy(site, client) as (address, _):
        connection = http.client.HTTPConnection(address.removeprefix("http://"))
        connection.request("GET", f"/{INDEX}/", headers={"Host": "evil.example"})
        assert connection.getresponse().status == 403
        for path in ("/files/nightly/cpu/wootz/../../../etc/passwd.whl", "/nightly/cpu/absent/", "/etc/passwd"):
            connection = http.client.HTTPConnection(address.removeprefix("http://"))
            connection.request("GET", path)
            assert connection.getresponse().status == 404


def test_a_client_that_hangs_up_leaves_no_traceback(site: str, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    running = server(site, client, [])
    told, ended = [], threading.Event()
    close = running.shutdown_request
    with answering(running):
        monkeypatch.setattr(running, "handle_error", lambda *_: told.append(sys.exc_info()[1]))
        monkeypatch.setattr(running, "shutdown_request", lambda request: (close(request), ended.set()))
        with socket.create_connection(("127.0.0.1", running.server_port)) as hasty:
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets
            hasty.sendall(f"GET /{INDEX}/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert ended.wait(20)
    assert told == []

"""The three commands as a person runs them, against indexes on loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.confusion import ROOT
from tests.support.faults import status
from tests.support.index import LoopbackIndex, loopback_index
from tests.support.nightly import make_wheel


@pytest.fixture
def public() -> Iterator[LoopbackIndex]:
    with loopback_index() as running:
        yield running


@pytest.fixture
def guard(tmp_path: Path, public: LoopbackIndex) -> Any:
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "PYTHONPATH")}
    environ = {
        **kept, "HOME": str(tmp_path / "home"), "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": public.url,
        "PYTHONPATH": str(ROOT / "build" / "src"),
    }  # fmt: skip

    def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "millcert", "guard", *map(str, arguments)]
        return subprocess.run(
            command, env={**environ, **more}, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )

    return run


def test_audit_says_where_and_exits_by_severity(guard: Any, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("--extra-index-url https://b.example/simple\nwootz\n")
    text = guard("audit")
    assert text.returncode == 15, text.stderr
    assert "requirements.txt:1:extra-index-url" in text.stdout
    assert "2 errors, 1 warning" in text.stdout
    report = json.loads(guard("audit", "--json", "--fail-on", "never").stdout)
    assert {item["rule"] for item in report["findings"]} == {"MG101", "MG201", "MG301"}
    assert json.loads(guard("audit", "--sarif", ".").stdout)["version"] == "2.1.0"
    (tmp_path / "requirements.txt").write_text("numpy==2.0\n")
    assert guard("audit").returncode == 0  # a note
    assert guard("audit", "--fail-on", "note").returncode == 15
    assert guard("audit", "requirements.txt", "gone.txt").returncode == 2


def test_audit_looks_at_the_machine_unless_told_not_to(guard: Any, tmp_path: Path) -> None:
    there = guard("audit", PIP_EXTRA_INDEX_URL="https://b.example/simple")
    assert (there.returncode, "PIP_EXTRA_INDEX_URL" in there.stdout) == (15, True)
    assert guard("audit", "--no-machine", PIP_EXTRA_INDEX_URL="https://b.example/simple").returncode == 0


def test_audit_online_asks_the_merged_indexes(guard: Any, public: LoopbackIndex, tmp_path: Path) -> None:
    with loopback_index() as private:
        private.add(make_wheel(tmp_path / "wheels", "internal", "1.0"))
        text = f"-i {public.url}\n--extra-index-url {private.url}\ninternal==1.0\n"
        (tmp_path / "requirements.txt").write_text(text)
        found = json.loads(guard("audit", "--online", "--json", "--no-machine").stdout)["findings"]
        (free,) = [item for item in found if item["rule"] == "MG251"]
        assert free["evidence"] == {"name": "internal", "present": private.url, "free": public.url}
        assert free["line"] == 3
        public.add(make_wheel(tmp_path / "theirs", "internal", "99.0"))
        found = json.loads(guard("audit", "--online", "--json", "--no-machine").stdout)["findings"]
        (contested,) = [item for item in found if item["rule"] == "MG252"]
        assert "99.0" in contested["evidence"]["first"]


def test_watch_reports_a_newcomer_once(guard: Any, public: LoopbackIndex, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    arguments = ("watch", "--state", state, "--look-alikes", "8", "--json")
    assert guard(*arguments).returncode == 0
    public.add(make_wheel(tmp_path / "theirs", "w0otz", "1.0"))
    new = guard(*arguments)
    assert new.returncode == 15, new.stderr
    assert [item["name"] for item in json.loads(new.stdout)["newcomers"]] == ["w0otz"]
    again = guard(*arguments)
    assert again.returncode == 0
    assert [item["name"] for item in json.loads(again.stdout)["known"]] == ["w0otz"]
    public.fail("/simple/w0otz/", status(503), always=True)
    silent = guard(*arguments)
    assert silent.returncode == 5
    assert [item["name"] for item in json.loads(silent.stdout)["unavailable"]] == ["w0otz"]
    assert [item["name"] for item in json.loads(state.read_text())["sightings"]] == ["w0otz"]


def test_watch_says_whether_a_prefix_is_reserved(guard: Any, public: LoopbackIndex, tmp_path: Path) -> None:
    arguments = ("watch", "--state", tmp_path / "state.json", "--look-alikes", "0")
    assert "prefix wootz- on pypi: not known: there is no project" in guard(*arguments).stdout.replace("\n", " ")
    public.add(make_wheel(tmp_path / "held", "wootz", "0.0.0"))
    public.namespaces["wootz"] = {"prefix": "wootz", "authorized": True, "open": False}
    guard(*arguments)  # our own placeholder is new once
    held = guard(*arguments)
    assert held.returncode == 0, held.stderr
    assert "prefix wootz- on pypi: reserved for the owner" in held.stdout
    public.namespaces["wootz"] = {"prefix": "wootz", "authorized": False, "open": False}
    lost = guard(*arguments, "--json")
    assert lost.returncode == 15
    assert {item["prefix"]: item["alarm"] for item in json.loads(lost.stdout)["prefixes"]}["wootz-"] is True


def test_reserve_builds_only_what_nobody_has(guard: Any, public: LoopbackIndex, tmp_path: Path) -> None:
    built = guard("reserve", "wootz", "--out", "held", "--homepage", "https://wootz.example/", "--json")
    assert built.returncode == 0, built.stderr
    names = sorted(path.name for path in (tmp_path / "held").iterdir())
    assert names == ["wootz-0.0.0-py3-none-any.whl", "wootz-0.0.0.tar.gz"]
    public.add(make_wheel(tmp_path / "theirs", "millcert", "1.0"))
    taken = guard("reserve", "wootz", "millcert", "--out", "other")
    assert taken.returncode == 15
    assert not (tmp_path / "other").exists()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}/simple/"
    assert guard("reserve", "wootz", "--out", "other", PIP_INDEX_URL=nobody).returncode == 15
    assert guard("reserve", "numpy", "--out", "other").returncode == 2
    assert not (tmp_path / "other").exists()

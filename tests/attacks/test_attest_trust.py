"""Attacks on what is trusted: a poisoned cache, a retired key, an altered root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.sigstore import Instance
from tests.support.sigstore.scene import IDENTITY, Scene

from millcert.attest.errors import CertificateError, LogEntryError, SctError, TimeError, TrustRootError
from millcert.errors import VerificationError

_CACHE = Path("sigstore-python", "tuf", "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev")


def _run(module: str, arguments: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "XDG_CACHE_HOME": str(home / "cache"),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", f"import sys; from {module} import main; sys.exit(main())", *arguments],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip


def test_a_poisoned_local_cache_makes_nobody_believed(tmp_path: Path) -> None:
    """The attacker owns a whole Sigstore and may write to the user's cache. The reference client falls for it."""
    scene = Scene(tmp_path, Instance("https://attacker.example"))
    scene.place(scene.draft())
    home = tmp_path / "home"
    for folder in (home / "cache" / _CACHE, home / "data" / _CACHE):
        folder.mkdir(parents=True)
        (folder / "trusted_root.json").write_bytes(scene.instance.trusted_root_json())
        (folder / "signing_config.v0.2.json").write_text(json.dumps(scene.instance.signing_config()))
    issuer = scene.instance.issuer.url
    reference = ["verify", "identity", "--offline", "--cert-identity", IDENTITY, "--cert-oidc-issuer", issuer]
    assert _run("sigstore._cli", [*reference, str(scene.wheel)], home).returncode == 0

    ours = ["verify", "--identity", IDENTITY, "--issuer", issuer, "--json", str(scene.wheel)]
    refused = _run("millcert.cli", ours, home)
    assert refused.returncode == 14, refused.stderr
    (verdict,) = json.loads(refused.stdout)["verdicts"]
    assert verdict["error"]["evidence"]["trusted_root"].startswith("the public-good root shipped with millcert")
    named = _run("millcert.cli", [*ours, "--trusted-root", str(scene.root_path)], home)
    assert named.returncode == 0, named.stderr


def _end_yesterday(period: dict[str, str]) -> None:
    period["start"] = "2020-01-01T00:00:00Z"
    period["end"] = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("retire", "rekor", "error", "reference_accepts"),
    [
        (lambda d: _end_yesterday(d["certificateAuthorities"][0]["validFor"]), 1, CertificateError, True),
        (lambda d: _end_yesterday(d["tlogs"][0]["publicKey"]["validFor"]), 1, LogEntryError, True),
        (lambda d: _end_yesterday(d["tlogs"][1]["publicKey"]["validFor"]), 2, LogEntryError, True),
        (lambda d: _end_yesterday(d["ctlogs"][0]["publicKey"]["validFor"]), 1, SctError, True),
        (lambda d: _end_yesterday(d["timestampAuthorities"][0]["validFor"]), 2, TimeError, False),
    ],
    ids=["authority", "rekor v1", "rekor v2", "certificate log", "time-stamping"],
)
def test_a_retired_key_signs_again(
    tmp_path: Path, retire: Callable[[dict[str, Any]], None], rekor: int, error: type[VerificationError],
    reference_accepts: bool,
) -> None:  # fmt: skip
    """The root says that a key's time is over (it leaked, say); what it signs afterwards is refused.

    sigstore-python goes on believing most of them, which is why the root is narrowed before it is asked.
    """
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier, policy

    scene = Scene(tmp_path, Instance())
    bundle = scene.place(scene.draft(rekor=rekor))
    assert scene.verify().builders == 1
    scene.change_root(retire)
    with pytest.raises(error):
        scene.verify()
    reference = Verifier(trusted_root=TrustedRoot.from_file(str(scene.root_path)))
    try:
        reference.verify_dsse(Bundle.from_json(bundle.read_bytes()), policy.Identity(identity=IDENTITY))
        accepted = True
    except Exception:
        accepted = False
    assert accepted is reference_accepts


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_retired_log_signs_in_the_name_of_the_current_one(tmp_path: Path, rekor: int) -> None:
    """The old log's key leaked; its entries carry the current log's id."""
    old, current = Instance(), Instance()
    scene = Scene(tmp_path, current)
    retired = json.loads(old.trusted_root_json())["tlogs"]
    for log in retired:
        _end_yesterday(log["publicKey"]["validFor"])
    scene.change_root(lambda document: document["tlogs"].extend(retired))
    honest = scene.draft(rekor=rekor)
    scene.place(honest)
    assert scene.verify().builders == 1
    current.rekor_v1, current.rekor_v2 = old.rekor_v1, old.rekor_v2
    draft = scene.draft(rekor=rekor)
    draft.entry["logId"] = honest.entry["logId"]
    scene.place(draft)
    with pytest.raises(LogEntryError):
        scene.verify()


@pytest.mark.parametrize("swap", ["tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"])
def test_one_part_of_the_root_is_another_instances(tmp_path: Path, swap: str) -> None:
    scene = Scene(tmp_path, Instance())
    scene.place(scene.draft())
    assert scene.verify().builders == 1
    foreign = Instance().trusted_root()
    scene.change_root(lambda document: document.update({swap: foreign[swap]}))
    with pytest.raises(VerificationError):
        scene.verify()


@pytest.mark.parametrize("part", ["tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"])
def test_one_part_of_the_root_is_missing(tmp_path: Path, part: str) -> None:
    scene = Scene(tmp_path, Instance())
    scene.place(scene.draft())
    scene.change_root(lambda document: document.pop(part))
    with pytest.raises(VerificationError):
        scene.verify()


def test_the_root_says_two_things_at_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Instance())
    scene.place(scene.draft())
    foreign = json.dumps(Instance().trusted_root()["certificateAuthorities"])
    text = scene.root_path.read_text()
    doubled = text.replace('"certificateAuthorities"', f'"certificateAuthorities": {foreign}, "certificateAuthorities"')
    scene.root_path.write_text(doubled)
    with pytest.raises(TrustRootError, match="strict JSON"):
        scene.verify()

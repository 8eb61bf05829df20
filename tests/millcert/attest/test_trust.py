"""The trusted root: shipped bytes, explicit files, and what was believed when."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from tests.support.sigstore import Instance

from millcert.attest import trust
from millcert.attest.errors import CertificateError, LogEntryError, SctError, TrustRootError
from millcert.attest.trust import PUBLIC_GOOD_SHA256, public_good, read_trust_config, read_trusted_root
from millcert.model import digest_of


def test_the_shipped_root_is_the_one_sigstore_python_was_released_with() -> None:
    stored = resources.files("sigstore._store").joinpath("https%3A%2F%2Ftuf-repo-cdn.sigstore.dev", "trusted_root.json")
    assert digest_of(stored.read_bytes()) == PUBLIC_GOOD_SHA256
    assert public_good().document == json.loads(stored.read_bytes())


def test_the_shipped_root_is_usable_at_a_time_it_covers() -> None:
    root = public_good()
    log_id = bytes.fromhex("c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d")  # rekor.sigstore.dev
    then = datetime(2024, 6, 1, tzinfo=UTC)
    assert root.verifier_at(log_id, [then], [then]) is root.verifier_at(log_id, [then], [then])


def test_shipped_bytes_that_were_altered_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "PUBLIC_GOOD_SHA256", "0" * 64)
    with pytest.raises(TrustRootError, match="altered"):
        public_good()


def test_a_trust_configuration_gives_the_same_root_as_the_root_itself(tmp_path: Path) -> None:
    instance = Instance()
    (tmp_path / "root").write_bytes(instance.trusted_root_json())
    (tmp_path / "config").write_bytes(instance.trust_config_json(rekor=2))
    root = read_trusted_root(tmp_path / "root")
    assert root.document == read_trust_config(tmp_path / "config").document
    assert root.digest == digest_of(instance.trusted_root_json())


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"mediaType":"x"}', b'{"mediaType":"x","mediaType":"x"}', b"\x80"],
)
def test_a_file_that_is_no_root_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "root.json").write_bytes(data)
    for read in (read_trusted_root, read_trust_config):
        with pytest.raises(TrustRootError):
            read(tmp_path / "root.json")
        with pytest.raises(TrustRootError, match="cannot be read"):
            read(tmp_path / "absent.json")


def _narrowed(tmp_path: Path, change: Any, at: datetime) -> object:
    instance = Instance()
    document = instance.trusted_root()
    change(document)
    (tmp_path / "root.json").write_text(json.dumps(document))
    return read_trusted_root(tmp_path / "root.json").verifier_at(instance.rekor_v1.log_id, [at], [at])


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda d: d["tlogs"][0]["publicKey"]["validFor"].update(end="2020-01-01T00:00:00Z"), LogEntryError),
        (lambda d: d["tlogs"].pop(0), LogEntryError),
        (lambda d: d["certificateAuthorities"][0]["validFor"].update(end="2020-01-01T00:00:00Z"), CertificateError),
        (lambda d: d.update(certificateAuthorities=[]), CertificateError),
        (lambda d: d["ctlogs"][0]["publicKey"]["validFor"].update(start="2050-01-01T00:00:00Z"), SctError),
        (lambda d: d.pop("ctlogs"), SctError),
        (lambda d: d["ctlogs"][0]["publicKey"].pop("validFor"), TrustRootError),
        (lambda d: d["ctlogs"][0]["publicKey"]["validFor"].update(start="soon"), TrustRootError),
        (lambda d: d["tlogs"][0].pop("logId"), TrustRootError),
        (lambda d: d["certificateAuthorities"][0]["certChain"].update(certificates=[]), TrustRootError),
        (lambda d: d.update(tlogs={}), TrustRootError),
    ],
)
def test_only_what_the_root_vouched_for_at_that_time_is_believed(tmp_path: Path, change: Any, error: Any) -> None:
    now = datetime.now(UTC)
    assert _narrowed(tmp_path, lambda _: None, now)
    with pytest.raises(error):
        _narrowed(tmp_path, change, now)

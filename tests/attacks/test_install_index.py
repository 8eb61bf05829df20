"""Attacks on who installs from a signed index, over real HTTP: a hostile mirror, stolen keys, a bad network.

Each has the honest installation of ``tests/millcert/install`` as its control, and leaves nothing installed.
"""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.badserver import alter, dripping, dropped, endless, misbehaving, redirected
from tests.support.installing import FIRST, INDEX, SECOND, Client, Stall, sbom_of
from tests.support.nightly import NOW, Nightly, lock_of, make_wheel, serve
from tests.support.sigstore import workflow_claims

from millcert.attest.errors import IdentityRefusedError, ProvenanceRefusedError, SubjectMismatchError
from millcert.errors import ConfusionError, FetchError, HashMismatchError, MillcertError
from millcert.index import ClientConfiguration
from millcert.install.anchor import Anchor
from millcert.install.errors import (
    EvidenceError,
    HostileWheelError,
    IndexRefusedError,
    ResolutionError,
    StaleIndexError,
    UnreachableIndexError,
)
from millcert.install.source import BoundTransport
from millcert.model import Digest, digest_of
from millcert.names import normalize
from millcert.publish.page import Page, PageFile


@pytest.fixture
def client(stall: Stall, tmp_path: Path) -> Client:
    """Who installs, for the first time."""
    return Client(tmp_path / "client", Anchor(stall.nightly.root))


def refused(
    stall: Stall, client: Client, error: type[MillcertError], match: str | None = None, site: Path | None = None
) -> MillcertError:
    with serve(site or stall.nightly.site.root) as (address, _), pytest.raises(error, match=match) as refusal:
        client.verified(address)
    return refusal.value


# -- a hostile mirror, which has no keys


@pytest.mark.parametrize("kind", ["bundle", "provenance", "sbom", "pylock"])
def test_a_file_beside_the_wheel_is_altered(stall: Stall, client: Client, kind: str) -> None:
    alter(stall.stored(kind))
    refused(stall, client, HashMismatchError)


@pytest.mark.parametrize("name", ["wootz", "anvil"])
def test_a_wheel_is_altered(stall: Stall, client: Client, name: str) -> None:
    alter(next((stall.nightly.site.root / "files" / name).glob("*.whl")))
    refused(stall, client, HashMismatchError)


def test_the_page_is_altered(stall: Stall, client: Client) -> None:
    """It stays a page that any reader takes for one, and says of its wheel that it was uploaded in another century."""
    for page in (stall.nightly.site.root / INDEX / "wootz").glob("*.index.json"):
        data = page.read_bytes()
        page.write_bytes(data.replace(b'"upload-time":"20', b'"upload-time":"19'))
        assert page.read_bytes() != data
    refused(stall, client, IndexRefusedError, "does not verify")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "nightly-cpu"])
def test_metadata_is_altered(stall: Stall, client: Client, role: str) -> None:
    for path in (stall.nightly.site.root / "tuf").glob(f"*{role}.json"):
        document = json.loads(path.read_bytes())
        document["signed"]["expires"] = "2099-01-01T00:00:00Z"
        path.write_text(json.dumps(document))
    refused(stall, client, IndexRefusedError)


def test_the_views_that_pip_reads_are_never_looked_at(stall: Stall, client: Client) -> None:
    for view in (stall.nightly.site.root / INDEX).rglob("index.*"):
        view.write_bytes(b"evil")
    with serve(stall.nightly.site.root) as (address, _):
        assert client.verified(address)[0] == f"wootz {FIRST}"


def test_a_whole_index_signed_by_other_keys(stall: Stall, client: Client, tmp_path: Path) -> None:
    other = Stall.open(tmp_path / "other")
    refused(stall, client, IndexRefusedError, site=other.nightly.site.root)


def test_rollback_to_the_night_before(stall: Stall, client: Client, tmp_path: Path) -> None:
    shutil.copytree(stall.nightly.site.root, tmp_path / "before")
    stall.night(SECOND)
    with serve(stall.nightly.site.root) as (address, _):
        assert client.verified(address)[0] == f"wootz {SECOND}"
    refused(stall, client, StaleIndexError, site=tmp_path / "before")
    shutil.rmtree(client.folder / "state" / "tuf")  # the ratchet remembers without the kept metadata
    refused(stall, client, StaleIndexError, "older than what was seen", site=tmp_path / "before")


def test_a_frozen_index(stall: Stall, client: Client) -> None:
    refused(stall, client.later(hours=37), StaleIndexError, "run out")


def test_a_first_client_has_a_floor(stall: Stall, client: Client, tmp_path: Path) -> None:
    shutil.copytree(stall.nightly.site.root, tmp_path / "before")
    stall.night(SECOND)
    client.anchor = Anchor(stall.nightly.root, stall.nightly.state().version("timestamp"), NOW - timedelta(days=1))
    refused(stall, client, StaleIndexError, "older than the floor", site=tmp_path / "before")
    with serve(stall.nightly.site.root) as (address, _):
        assert client.verified(address)[0] == f"wootz {SECOND}"


def test_a_clock_that_was_set_back(stall: Stall, client: Client) -> None:
    with serve(stall.nightly.site.root) as (address, _):
        client.verified(address)
    refused(stall, client.later(hours=-2), StaleIndexError, "clock went back")
    floored = replace(client, anchor=Anchor(stall.nightly.root, 0, NOW))
    refused(stall, floored.later(days=-30), StaleIndexError, "clock is behind")
    with serve(stall.nightly.site.root) as (address, _):
        assert client.later(minutes=-5).verified(address)  # minutes are nobody's attack


def test_the_projects_page_is_gone(stall: Stall, client: Client) -> None:
    shutil.rmtree(stall.nightly.site.root / INDEX / "wootz")
    refused(stall, client, UnreachableIndexError)


def test_an_index_that_never_had_the_project(stall: Stall, client: Client, tmp_path: Path) -> None:
    empty = Nightly.start(tmp_path / "empty")
    client.anchor = Anchor(empty.root)
    refused(stall, client, ConfusionError, "absent on its index", site=empty.site.root)


# -- stolen publisher's and online keys: pages can be signed, attestations cannot


def test_the_attestation_is_stripped(stall: Stall, client: Client) -> None:
    stall.pin("bundles", [])
    refused(stall, client, EvidenceError, "no attestation")


def test_all_evidence_is_stripped(stall: Stall, client: Client) -> None:
    stall.forge_file(lambda file: replace(file, evidence={}))
    refused(stall, client, EvidenceError, "no attestation")


@pytest.mark.parametrize("kind", ["provenance", "sbom", "pylock"])
def test_a_file_beside_the_wheel_is_no_longer_named(stall: Stall, client: Client, kind: str) -> None:
    stall.pin(kind, None)
    refused(stall, client, EvidenceError, "lacks a file")


def test_the_wheel_is_exchanged_under_a_valid_attestation(stall: Stall, client: Client) -> None:
    evil = make_wheel(stall.nightly.folder / "evil", "wootz", FIRST, content=b"import evil\n")
    served = stall.nightly.site.root / "files" / "wootz" / evil.name
    served.chmod(0o644)
    served.write_bytes(evil.read_bytes())
    ours, theirs = stall.listed().digest.encode(), digest_of(evil.read_bytes()).encode()
    lock = stall.stored("pylock").read_bytes().replace(ours, theirs)
    pin = stall.put("evil.toml", lock)

    def exchange(file: PageFile) -> PageFile:
        data = evil.read_bytes()
        evidence = {**file.evidence, "pylock": pin}
        return replace(file, digest=digest_of(data), size=len(data), evidence=evidence, metadata=None)

    stall.forge_file(exchange)
    refused(stall, client, SubjectMismatchError, "other bytes")


def test_the_bundle_of_another_night(stall: Stall, client: Client) -> None:
    other = stall.wheel(SECOND)
    bundle = other.with_name(f"{other.name}.sigstore.json").read_bytes()
    stall.pin("bundles", [stall.put("other.sigstore.json", bundle)])
    refused(stall, client, SubjectMismatchError)


def test_a_file_beside_the_wheel_of_gigabytes(stall: Stall, client: Client) -> None:
    pinned = stall.listed().evidence["sbom"]
    stall.pin("sbom", {**pinned, "size": 1 << 40})
    refused(stall, client, EvidenceError, "too large")


def test_a_known_file_under_another_size(stall: Stall, client: Client) -> None:
    with serve(stall.nightly.site.root) as (address, _):
        client.verified(address)  # it is kept from now on, and not brought again
    pinned = stall.listed().evidence["sbom"]
    stall.pin("sbom", {**pinned, "size": pinned["size"] + 1})
    refused(stall, client, EvidenceError, "another size")


def test_a_signed_page_of_gigabytes(stall: Stall, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millcert.install.client._MOST_PAGE", 100)
    refused(stall, client, IndexRefusedError, "page that is too long")


def test_provenance_that_nobody_signed(stall: Stall, client: Client) -> None:
    statement = stall.stored("provenance").read_bytes().replace(b"a" * 40, b"b" * 40)
    stall.pin("provenance", stall.put("evil.provenance.json", statement))
    refused(stall, client, EvidenceError, "no accepted builder signed the provenance")


def test_another_sbom_than_the_wheels(stall: Stall, client: Client) -> None:
    stall.pin("sbom", stall.put("evil.cdx.json", sbom_of(FIRST) + b" "))
    refused(stall, client, EvidenceError, "not the one inside")


def test_an_sbom_of_another_release(stall: Stall, client: Client) -> None:
    stall.night(SECOND, sbom=sbom_of("9.9"))
    refused(stall, client, EvidenceError, "SBOM is of another release")


def test_an_sbom_that_names_what_the_build_did_not_read(stall: Stall, client: Client) -> None:
    stall.night(SECOND, sbom=sbom_of(SECOND, compiler="c" * 64))
    refused(stall, client, EvidenceError, "the build did not read")


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"bomFormat": "CycloneDX", "metadata": 3}', b"no JSON"])
def test_an_sbom_that_is_none(stall: Stall, client: Client, data: bytes) -> None:
    stall.night(SECOND, sbom=data)
    refused(stall, client, EvidenceError, "not CycloneDX")


def test_core_metadata_that_is_not_the_wheels(stall: Stall, client: Client) -> None:
    stall.forge_file(lambda file: replace(file, metadata=Digest("0" * 64)))
    refused(stall, client, EvidenceError, "core metadata")


def test_other_python_versions_than_the_wheels(stall: Stall, client: Client) -> None:
    stall.forge_file(lambda file: replace(file, requires_python=">=3.8"))
    refused(stall, client, EvidenceError, "Python versions")


def relock(stall: Stall, old: bytes, new: bytes) -> None:
    lock = stall.stored("pylock").read_bytes()
    assert old in lock
    stall.pin("pylock", stall.put("evil.toml", lock.replace(old, new)))


def test_a_lock_that_drops_a_requirement(stall: Stall, client: Client) -> None:
    lock = stall.stored("pylock").read_bytes().decode()
    kept, *packages = lock.split("[[packages]]\n")
    ours = [package for package in packages if 'name = "wootz"' in package]
    stall.pin("pylock", stall.put("evil.toml", "[[packages]]\n".join([kept, *ours]).encode()))
    refused(stall, client, ResolutionError, "does not satisfy a requirement")


def test_a_locked_version_that_the_wheel_does_not_take(
    stall: Stall, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millcert.publish.publication.check_requirements", lambda *_: None)  # the publisher looks away
    stall.night(SECOND, requires=["anvil>=3"])
    refused(stall, client, ResolutionError, "does not satisfy a requirement")


def test_a_lock_that_names_other_bytes(stall: Stall, client: Client) -> None:
    relock(stall, stall.lock.pins[0].files[0].digest.encode(), b"0" * 64)
    refused(stall, client, ConfusionError, "lock does not hold")


def test_a_lock_that_does_not_hold_the_release_itself(stall: Stall, client: Client) -> None:
    relock(stall, stall.listed().digest.encode(), b"0" * 64)
    refused(stall, client, ConfusionError, "lock does not hold")


def test_a_lock_that_brings_a_look_alike_of_the_project(stall: Stall, client: Client) -> None:
    relock(stall, b"anvil", b"w00tz")
    refused(stall, client, ConfusionError, "looks like one of ours")


def test_a_lock_that_names_a_project_the_index_does_not_have(stall: Stall, client: Client) -> None:
    relock(stall, b"anvil", b"hammer")
    refused(stall, client, ConfusionError, "absent on its index")


def test_a_dependency_exchanged_on_its_page(stall: Stall, client: Client) -> None:
    evil = make_wheel(stall.nightly.folder / "evil", "anvil", "2.0", content=b"import evil\n").read_bytes()
    stall.forge_page(
        lambda page: replace(page, files=(replace(page.files[0], digest=digest_of(evil), size=len(evil)),)), "anvil"
    )
    refused(stall, client, ConfusionError, "lock does not hold")


@pytest.mark.parametrize(("name", "match"), [("wootz", "project is quarantined"), ("anvil", "not offered")])
def test_a_quarantined_project_is_not_installed(stall: Stall, client: Client, name: str, match: str) -> None:
    stall.nightly.publisher().set_status(INDEX, normalize(name), "quarantined", "malware", NOW)
    refused(stall, client, ResolutionError, match)


def test_a_lock_that_names_a_file_the_index_does_not_list(stall: Stall, client: Client) -> None:
    relock(stall, b"anvil-2.0-py3-none-any.whl", b"anvil-2.0-1-py3-none-any.whl")
    refused(stall, client, ResolutionError, "not offered")


def test_a_lock_that_would_build_from_sources(stall: Stall, client: Client) -> None:
    """An archive of sources runs its own code when it is installed."""
    lock = stall.stored("pylock").read_bytes().decode()
    kept, *packages = lock.split("[[packages]]\n")
    (ours,) = [package for package in packages if 'name = "wootz"' in package]
    sdist = '[[packages]]\nname = "anvil"\nversion = "2.0"\n[packages.sdist]\nname = "anvil-2.0.tar.gz"\nsize = 1\n'
    sdist += f'path = "anvil-2.0.tar.gz"\nhashes = {{sha256 = "{"0" * 64}"}}\n'
    stall.pin("pylock", stall.put("evil.toml", f"{kept}[[packages]]\n{ours}\n{sdist}".encode()))
    refused(stall, client, EvidenceError, "other than wheels")


def test_a_page_of_another_project(stall: Stall, client: Client) -> None:
    stall.forge_page(lambda page: Page("anvil", page.files))  # type: ignore[arg-type]  # a plain name will do
    refused(stall, client, IndexRefusedError, "another project")


def test_a_dependency_that_writes_into_the_project(stall: Stall, client: Client) -> None:
    path = stall.nightly.folder / "third"
    wheel = _wheel_writing(path, "hammer", "wootz.py")
    stall.lock = lock_of(stall.nightly.store, path / "anvil-2.0-py3-none-any.whl", wheel)
    stall.night(SECOND)
    refused(stall, client, ResolutionError, "two wheels write one file")


def _wheel_writing(folder: Path, name: str, module: str) -> Path:
    import base64
    import hashlib
    import zipfile

    info = f"{name}-1.0.dist-info"
    files = {
        module: b"import evil\n", f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }  # fmt: skip
    hashed = {n: base64.urlsafe_b64encode(hashlib.sha256(d).digest()).rstrip(b"=").decode() for n, d in files.items()}
    record = "".join(f"{n},sha256={hashed[n]},{len(d)}\n" for n, d in files.items()) + f"{info}/RECORD,,\n"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for n, d in {**files, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(n, d)
    return path


# -- attestations of others, and wheels that builders were made to sign


@pytest.mark.parametrize(
    "claims",
    [
        {"repository": "example/other"},
        {"ref": "refs/heads/feature"},
        {"workflow": "pull-request.yml"},
        {"repository_id": "6666"},
        {"trigger": "pull_request_target"},
        {"runner": "self-hosted"},
    ],
    ids=["project", "branch", "workflow", "repository-taken-over", "trigger", "runner"],
)
def test_a_valid_attestation_of_another(stall: Stall, client: Client, claims: dict[str, str]) -> None:
    stall.night(SECOND, claims=[workflow_claims(**claims)])  # type: ignore[arg-type]  # strings, all of them
    refused(stall, client, IdentityRefusedError)


def test_provenance_of_another_kind_of_build(stall: Stall, client: Client) -> None:
    stall.night(SECOND, build_type="https://example.org/unsandboxed")
    refused(stall, client, ProvenanceRefusedError)


@pytest.mark.parametrize("name", ["../evil.pth", "../wootz.data/data/etc/evil", "../../evil.py"])
def test_an_attested_wheel_that_does_more_than_it_declares(stall: Stall, client: Client, name: str) -> None:
    info = f"wootz-{SECOND}.dist-info/"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.support.installing.make_wheel", functools.partial(_wheel_with, name=name, info=info))
        stall.night(SECOND)
    refused(stall, client, HostileWheelError)


def _wheel_with(folder: Path, *arguments: Any, name: str, info: str, **how: Any) -> Path:
    path = make_wheel(folder, *arguments, **how)
    import zipfile

    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name.removeprefix("../"), b"import evil\n")
    return path


# -- the network


PLACES = ["timestamp.json", "snapshot.json", "index.json", ".sigstore.json", ".whl"]


@pytest.mark.parametrize("suffix", PLACES)
def test_endless_data(stall: Stall, client: Client, suffix: str) -> None:
    with (
        misbehaving(stall.nightly.site.root, suffix, endless) as address,
        pytest.raises((IndexRefusedError, FetchError), match=r"more|too long"),
    ):
        client.verified(address)


@pytest.mark.parametrize("suffix", PLACES)
def test_a_connection_that_drops(stall: Stall, client: Client, suffix: str) -> None:
    with (
        misbehaving(stall.nightly.site.root, suffix, dropped) as address,
        pytest.raises((UnreachableIndexError, FetchError, HashMismatchError)),
    ):
        client.verified(address)


@pytest.mark.parametrize("suffix", PLACES)
def test_a_redirect_to_another_host(stall: Stall, client: Client, suffix: str) -> None:
    with misbehaving(stall.nightly.site.root, suffix, redirected) as address, pytest.raises(FetchError) as refusal:
        client.verified(address)
    assert "another host" in str(refusal.value)


@pytest.mark.parametrize("suffix", PLACES)
def test_a_server_that_only_drips(stall: Stall, client: Client, suffix: str) -> None:
    clock = iter(range(0, 10**9, 61))
    client.transport = BoundTransport(
        ClientConfiguration("", timeout=5.0), sleep=lambda seconds: None, clock=lambda: float(next(clock))
    )
    with misbehaving(stall.nightly.site.root, suffix, dripping) as address, pytest.raises(FetchError) as refusal:
        client.verified(address)
    assert "too slow" in str(refusal.value)


def test_a_server_that_is_gone(stall: Stall, client: Client) -> None:
    with serve(stall.nightly.site.root) as (address, _):
        client.verified(address)
    with pytest.raises(UnreachableIndexError, match="nothing older"):
        client.verified(address)

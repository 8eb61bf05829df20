"""Registries that lie, break off, refuse and forget: nothing is believed, and no tag points at half an image."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator

import pytest
import requests
from tests.support.registry import FaultyRegistry, Handler, faulty_registry
from tests.support.signed_image import SignedImage, run_command, signed_image

from millcert.image.credentials import machine_credentials
from millcert.image.errors import DigestError, ReferrerError, RegistryError
from millcert.image.index import ImageIndex, index_of, member_of
from millcert.image.layout import Layout
from millcert.image.manifest import INDEX, MANIFEST, Descriptor
from millcert.image.reference import parse_reference
from millcert.image.referrers import Artifact, artifacts_beside, check_artifacts
from millcert.image.registry import Registry
from millcert.image.session import RegistrySession
from millcert.image.transfer import Pushed, pull, push, push_index
from millcert.model import parse_digest

__all__ = ["signed_image"]

REPOSITORY = "team/millsample"


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with faulty_registry() as running:
        yield running


def client(registry: FaultyRegistry) -> Registry:
    """A client that does not wait between tries."""
    reference = parse_reference(f"{registry.host}/{REPOSITORY}")
    return Registry(reference, RegistrySession(lambda host: None, sleep=lambda _: None))


def pushed(image: SignedImage, registry: FaultyRegistry) -> Pushed:
    layout = Layout(image.layout)
    return push(layout, layout.image(), artifacts_beside(image.manifest), client(registry), "nightly", lambda *_: None)


# -- pushing


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("call", [("POST", "/uploads/"), ("PATCH", "/uploads/"), ("PUT", "/manifests/sha256:")])
def test_a_refusal_leaves_no_tag(status, call, registry, signed_image):
    registry.always(*call, lambda handler: (handler.body(), handler.answer(status)))
    with pytest.raises(RegistryError):
        pushed(signed_image, registry)
    assert registry.tags == {}


def break_off(handler: Handler) -> None:
    """Take half of what is sent, then drop the connection."""
    upload = handler.path.rpartition("/")[2].partition("?")[0]
    handler.registry.uploads[upload] += handler.rfile.read(int(handler.headers["Content-Length"]) // 2)
    handler.drop()


def test_an_upload_that_breaks_off_goes_on_where_it_stopped(registry, signed_image):
    registry.once("PATCH", "/uploads/", break_off)
    assert pushed(signed_image, registry).sent > 0
    assert registry.tags == {"nightly": f"sha256:{signed_image.digest}"}
    # the half that had arrived was asked about, not sent again
    patches = [path for method, path in registry.log if method == "PATCH"]
    assert ("GET", patches[0]) in registry.log
    for digest, data in registry.blobs.items():
        assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_an_upload_that_always_breaks_off_leaves_no_tag(registry, signed_image):
    registry.always("PATCH", "/uploads/", Handler.drop)
    with pytest.raises(RegistryError):
        pushed(signed_image, registry)
    assert registry.tags == {}


def test_a_push_that_was_cut_off_continues_with_what_is_missing(registry, signed_image):
    registry.once("PUT", "/manifests/sha256:", lambda handler: handler.answer(403))
    with pytest.raises(RegistryError):
        pushed(signed_image, registry)
    assert pushed(signed_image, registry).sent == 0
    assert registry.tags == {"nightly": f"sha256:{signed_image.digest}"}


def other_digest(handler: Handler) -> None:
    handler.body()
    handler.answer(201, Docker_Content_Digest=f"sha256:{'0' * 64}")


@pytest.mark.parametrize("path", ["/uploads/", "/manifests/sha256:"])
def test_a_registry_that_stored_something_else_leaves_no_tag(path, registry, signed_image):
    registry.always("PUT", path, other_digest)
    with pytest.raises(DigestError):
        pushed(signed_image, registry)
    assert registry.tags == {}


def test_a_registry_that_forgets_a_referrer_leaves_no_tag(registry, signed_image):
    def forget(handler: Handler) -> None:
        entries = handler.registry.referrers(handler.path.rpartition("/")[2])
        kept = [entry for entry in entries if "sigstore" not in str(entry["artifactType"])]
        handler.answer(200, json.dumps({"manifests": kept}).encode())

    registry.always("GET", "/referrers/", forget)
    with pytest.raises(RegistryError, match="does not list it") as caught:
        pushed(signed_image, registry)
    assert caught.value.evidence["lost"] == "signature"
    assert registry.tags == {}


def test_the_tag_moves_after_everything_else(registry, signed_image):
    pushed(signed_image, registry)
    assert registry.log[-1] == ("PUT", f"/v2/{REPOSITORY}/manifests/nightly")


def test_an_altered_blob_is_never_sent(registry, signed_image):
    layout = Layout(signed_image.layout)
    layer = layout.json(layout.image().descriptor)["layers"][-1]
    path = signed_image.layout / "blobs/sha256" / layer["digest"].removeprefix("sha256:")
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1] + b"!")
    with pytest.raises(DigestError, match="was altered"):
        pushed(signed_image, registry)
    assert registry.tags == {}


# -- pulling


@pytest.fixture
def full(registry: FaultyRegistry, signed_image: SignedImage) -> FaultyRegistry:
    pushed(signed_image, registry)
    return registry


def test_another_manifest_than_the_one_asked_for_is_refused(full, signed_image):
    other = b'{"schemaVersion":2,"layers":[],"config":{}}'
    full.always("GET", f"/manifests/sha256:{signed_image.digest}", lambda handler: handler.answer(200, other))
    with pytest.raises(DigestError, match="another manifest"):
        pull(client(full), f"sha256:{signed_image.digest}")


def test_a_digest_that_is_not_that_of_the_bytes_is_refused(full):
    kind, data = full.manifests[full.tags["nightly"]]
    full.always("GET", "/manifests/nightly", lambda handler: handler.answer(
        200, data + b" ", Content_Type=kind, Docker_Content_Digest=full.tags["nightly"]))  # fmt: skip
    with pytest.raises(DigestError, match="not that of its bytes"):
        pull(client(full), "nightly")


def test_an_endless_manifest_is_not_read_to_its_end(full):
    full.always("GET", "/manifests/nightly", lambda handler: handler.answer(200, b" " * (5 << 20)))
    with pytest.raises(RegistryError, match="too long"):
        pull(client(full), "nightly")


def layer_of(full: FaultyRegistry) -> tuple[str, bytes]:
    manifest = json.loads(full.manifests[full.tags["nightly"]][1])
    digest = manifest["layers"][1]["digest"]
    return digest, full.blobs[digest]


@pytest.mark.parametrize("change", [lambda data: data[:-1] + b"!", lambda data: data + b"!"], ids=["altered", "longer"])
def test_another_blob_than_the_one_asked_for_is_refused_and_not_kept(change, full, tmp_path):
    digest, data = layer_of(full)
    full.blobs[digest] = change(data)
    with pytest.raises(DigestError):
        pull(client(full), "nightly", tmp_path / "into")
    assert not list(tmp_path.glob(f"into/**/*{digest.removeprefix('sha256:')}*"))
    assert not list(tmp_path.glob("into/**/index.json"))


def test_an_altered_blob_is_refused_by_whoever_keeps_nothing_of_it(full):
    digest, data = layer_of(full)
    full.blobs[digest] = data[:-1] + b"!"
    layer = Descriptor("", parse_digest(digest), len(data))
    with pytest.raises(DigestError, match="another blob"):
        list(client(full).blob(layer))


def test_an_endless_blob_is_not_read_to_its_end(full):
    digest, data = layer_of(full)
    full.blobs[digest] = data + bytes(32 << 20)
    received = 0
    with pytest.raises(DigestError, match="longer than its manifest says"):
        for piece in client(full).blob(Descriptor("", parse_digest(digest), len(data))):
            received += len(piece)
    assert received <= len(data)


def test_a_small_blob_that_is_said_to_be_large_is_not_asked_for(full):
    digest, _ = layer_of(full)
    with pytest.raises(DigestError, match="should be small"):
        client(full).small_blob(Descriptor("", parse_digest(digest), 1 << 40))
    assert not [path for method, path in full.log if method == "GET" and path.endswith(digest)]


def test_a_download_that_breaks_off_goes_on_where_it_stopped(full, tmp_path):
    digest, data = layer_of(full)

    def half(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[: len(data) // 2])
        handler.drop()

    full.once("GET", f"/blobs/{digest}", half)
    pulled = pull(client(full), "nightly", tmp_path / "into")
    path = tmp_path / "into" / pulled.name.removesuffix(".manifest.json") / "blobs/sha256" / digest[7:]
    assert path.read_bytes() == data


def offer_index(full: FaultyRegistry, *entries: dict[str, object]) -> None:
    """Put an index at the tag, as whoever may write to the registry can."""
    data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)}).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    full.manifests[digest], full.tags["nightly"] = (INDEX, data), digest


def test_an_index_that_lists_an_image_under_another_platform_is_refused(full, signed_image):
    size = signed_image.manifest.stat().st_size
    entry = {"mediaType": MANIFEST, "digest": f"sha256:{signed_image.digest}", "size": size}
    offer_index(full, {**entry, "platform": {"os": "linux", "architecture": "arm64"}})
    with pytest.raises(DigestError, match="under another platform"):
        pull(client(full), "nightly", architecture="arm64")


def test_an_index_without_the_wanted_platform_says_what_it_has(full, signed_image):
    entry = {"mediaType": MANIFEST, "digest": f"sha256:{signed_image.digest}", "size": 1}
    offer_index(full, {**entry, "platform": {"os": "windows", "architecture": "amd64"}})
    with pytest.raises(RegistryError, match="no image for this platform") as caught:
        pull(client(full), "nightly")
    assert "windows/amd64" in caught.value.evidence["found"]


def test_an_index_that_is_none_is_a_typed_error(full):
    offer_index(full, {"mediaType": MANIFEST, "digest": "sha256:1", "size": 1, "platform": {}})
    with pytest.raises(DigestError, match="not an index"):
        pull(client(full), "nightly")


def index_of_the_signed(full: FaultyRegistry, image: SignedImage) -> ImageIndex:
    """An index of honest, signed images under the tag, by somebody who can sign nothing."""
    layout = Layout(image.layout)
    index = index_of([member_of(layout, layout.image().descriptor)])
    digest = f"sha256:{index.descriptor.digest}"
    full.manifests[digest], full.tags["nightly"] = (INDEX, index.data), digest
    return index


def test_an_index_that_nobody_signed_is_refused_though_its_images_are_signed(full, signed_image, capsys):
    index_of_the_signed(full, signed_image)
    reference = f"{full.host}/{REPOSITORY}"
    code, answer = run_command(capsys, "verify", f"{reference}:nightly", *signed_image.options)
    assert code == 14
    assert "nothing of this kind refers to the image: provenance, signature" in str(answer["message"])
    assert run_command(capsys, "verify", f"{reference}@sha256:{signed_image.digest}", *signed_image.options)[0] == 0


def test_a_signature_about_an_image_does_not_do_for_an_index_of_it(full, signed_image, capsys):
    index = index_of_the_signed(full, signed_image)
    borrowed = [a for a in artifacts_beside(signed_image.manifest) if a.kind == "signature"]
    said = Artifact("provenance", json.dumps({"subject": [{"digest": {"sha256": index.descriptor.digest}}]}).encode())
    push_index(index, [said, *borrowed], client(full), "nightly")
    code, answer = run_command(capsys, "verify", f"{full.host}/{REPOSITORY}:nightly", *signed_image.options)
    assert code == 14
    assert answer["error"] == "SubjectMismatchError"


@pytest.mark.parametrize("annotations", [[], "x", {"millcert.name": 1}, {"millcert.name": "../a.index.json"}, None])
def test_an_index_without_a_name_of_its_own_is_a_typed_error(annotations, full, signed_image, capsys):
    index = json.loads(index_of_the_signed(full, signed_image).data)
    data = json.dumps({**index, "annotations": annotations}).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    full.manifests[digest], full.tags["nightly"] = (INDEX, data), digest
    code, answer = run_command(capsys, "verify", f"{full.host}/{REPOSITORY}:nightly", *signed_image.options)
    assert (code, "no name to verify" in str(answer["message"])) == (2, True)


# -- what refers to an image


@pytest.mark.parametrize("kind", ["cyclonedx", "in-toto", "sigstore"])
def test_a_lost_referrer_is_noticed(kind, full, signed_image):
    for digest, (_, data) in list(full.manifests.items()):
        if kind in json.loads(data).get("artifactType", ""):
            del full.manifests[digest]
    pulled = pull(client(full), "nightly")
    with pytest.raises(ReferrerError, match="nothing of this kind"):
        check_artifacts(pulled.artifacts, pulled.descriptor.digest)


def test_a_referrer_about_another_image_is_refused(full, signed_image):
    artifact = next(
        data for _, data in full.manifests.values() if "sigstore" in json.loads(data).get("artifactType", "")
    )
    document = json.loads(artifact)
    document["subject"]["digest"] = f"sha256:{'0' * 64}"
    forged = json.dumps(document).encode()
    digest = f"sha256:{hashlib.sha256(forged).hexdigest()}"
    full.manifests[digest] = ("application/vnd.oci.image.manifest.v1+json", forged)
    entry = {"digest": digest, "artifactType": document["artifactType"], "size": len(forged)}
    full.always("GET", "/referrers/", lambda h: h.answer(200, json.dumps({"manifests": [entry]}).encode()))
    with pytest.raises(ReferrerError, match="about another image"):
        pull(client(full), "nightly")


@pytest.mark.parametrize("kind", ["sbom", "provenance"])
def test_an_sbom_or_provenance_of_another_image_is_refused(kind, signed_image):
    artifacts = [
        Artifact(a.kind, a.data.replace(signed_image.digest.encode(), b"0" * 64)) if a.kind == kind else a
        for a in artifacts_beside(signed_image.manifest)
    ]
    with pytest.raises(ReferrerError, match=f"the {kind} is about another image"):
        check_artifacts(artifacts, Layout(signed_image.layout).image().descriptor.digest)


@pytest.mark.parametrize("answer", [b"<html>", b'{"manifests":[{"digest":"sha256:1"}]}', b"[]"])
def test_garbage_in_place_of_a_list_of_referrers_is_a_typed_error(answer, full):
    full.always("GET", "/referrers/", lambda handler: handler.answer(200, answer))
    with pytest.raises(RegistryError, match="not an index"):
        pull(client(full), "nightly")


# -- logging in


def test_a_token_is_fetched_with_the_machines_credentials_and_sent_nowhere_else(full, tmp_path):
    seen: list[str] = []

    def guarded(handler: Handler) -> bool:
        if handler.path.startswith("/token"):
            seen.append(handler.headers["Authorization"])
            handler.answer(200, b'{"token":"abc"}')
            return True
        if handler.headers.get("Authorization") == "Bearer abc":
            return False
        challenge = f'Bearer realm="http://{full.host}/token",service="s",scope="repository:{REPOSITORY}:pull"'
        handler.answer(401, WWW_Authenticate=challenge)
        return True

    full.faults.append(guarded)
    password = base64.b64encode(b"me:secret").decode()
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {full.host: {"auth": password}}}))
    credentials = machine_credentials({"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")})
    reference = parse_reference(f"{full.host}/{REPOSITORY}")
    pull(Registry(reference, RegistrySession(credentials)), "nightly")
    assert seen == [f"Basic {password}"]
    assert credentials("registry.example.org") is None


def test_a_password_is_not_sent_over_plain_http_for_a_registry_that_speaks_https(monkeypatch):
    challenge = requests.Response()
    challenge.status_code = 401
    challenge.headers["WWW-Authenticate"] = 'Bearer realm="http://registry.example.org/token",service="s"'
    asked: list[str] = []

    def request(self: requests.Session, method: str, url: str, **options: object) -> requests.Response:
        asked.append(url)
        return challenge

    monkeypatch.setattr(requests.Session, "request", request)
    registry = Registry(parse_reference("registry.example.org/a"), RegistrySession(lambda host: ("me", "secret")))
    with pytest.raises(RegistryError, match="plain http"):
        registry.manifest("latest")
    assert asked == ["https://registry.example.org/v2/a/manifests/latest"]


@pytest.mark.parametrize(
    "text",
    ["wootz", "team/wootz:x", "https://a.example/b", "a.example/B", "a.example/b@sha256:12", "a.example/../b", ""],
)
def test_what_is_no_reference_is_refused(text):
    from millcert.errors import UsageError

    with pytest.raises(UsageError):
        parse_reference(text)


def test_only_this_machine_is_spoken_to_without_encryption():
    assert parse_reference("127.0.0.1:5000/a").base.startswith("http://")
    assert parse_reference("localhost/a").base.startswith("http://")
    for host in ("registry.example.org", "127.0.0.1.example.org", "10.0.0.1:5000"):
        assert parse_reference(f"{host}/a").base.startswith("https://")

"""Attacks on a bundle and on the file it is for: each changes one thing that the honest control leaves alone."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.sigstore import Instance, draft_bundle, workflow_claims
from tests.support.sigstore.rekor import b64
from tests.support.sigstore.scene import WHEEL, Scene

from millcert.attest.errors import (
    BundleError,
    CertificateError,
    LogEntryError,
    SctError,
    SignatureError,
    SubjectMismatchError,
    TimeError,
)
from millcert.errors import VerificationError

_INSTANCE = Instance()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """An unsigned wheel whose honest bundle is accepted: the control of every attack below."""
    scene = Scene(tmp_path, _INSTANCE)
    for rekor in (1, 2):
        scene.place(scene.draft(rekor=rekor))
        assert scene.verify().builders == 1
    return scene


def _refused(scene: Scene, bundle: Any, error: type[VerificationError], match: str | None = None) -> VerificationError:
    scene.place(bundle)
    with pytest.raises(error, match=match) as refusal:
        scene.verify()
    assert type(refusal.value) is error
    assert {"file", "bundle"} <= set(refusal.value.evidence)
    return refusal.value


# -- the file


@pytest.mark.parametrize("where", [0, 700, -1])
def test_one_byte_of_the_wheel_is_changed(scene: Scene, where: int) -> None:
    altered = bytearray(scene.wheel.read_bytes())
    altered[where] ^= 1
    scene.wheel.write_bytes(altered)
    error = _refused(scene, scene.draft(), SubjectMismatchError, "other bytes")
    assert error.evidence["expected"] == scene.subject.digest
    assert error.evidence["found"] != scene.subject.digest


def test_the_bundle_of_another_wheel_is_put_beside_it(scene: Scene, tmp_path: Path) -> None:
    other = Scene(tmp_path, scene.instance, name=WHEEL.replace("cpu", "cu129"))
    _refused(scene, other.draft(), SubjectMismatchError, "other bytes")


def test_a_wheel_is_renamed_to_pass_for_another_variant(scene: Scene) -> None:
    bundle = scene.draft().to_bytes()
    scene.wheel = scene.wheel.rename(scene.wheel.with_name(WHEEL.replace("cpu", "cu129")))
    _refused(scene, bundle, SubjectMismatchError, "another name")


# -- the envelope


def test_the_statement_is_changed_after_signing(scene: Scene) -> None:
    draft = scene.draft()
    draft.envelope["payload"] = b64(scene.statement.replace(b'"cpu"', b'"gpu"'))
    _refused(scene, draft, SignatureError)


def test_the_payload_type_is_changed_after_signing(scene: Scene) -> None:
    draft = scene.draft(payload_type="application/x-something")
    draft.envelope["payloadType"] = "application/vnd.in-toto+json"
    _refused(scene, draft, SignatureError)


def test_the_payload_is_not_an_in_toto_statement(scene: Scene) -> None:
    _refused(scene, scene.draft(payload_type="text/plain"), BundleError, "in-toto")


@pytest.mark.parametrize("rekor", [1, 2])
def test_the_signature_is_changed(scene: Scene, rekor: int) -> None:
    draft = scene.draft(rekor=rekor, stamped=rekor == 2)
    signature = bytearray(base64.b64decode(draft.envelope["signatures"][0]["sig"]))
    signature[-1] ^= 1
    draft.envelope["signatures"][0]["sig"] = b64(bytes(signature))
    # a time-stamp is over the signature: with one, the time falls first
    _refused(scene, draft, TimeError if rekor == 2 else SignatureError)


def test_the_certificate_is_replaced_by_another_of_the_same_identity(scene: Scene) -> None:
    draft = scene.draft()
    draft.certificate = scene.draft(start=_later(-1)).certificate  # valid at the time the other was used
    _refused(scene, draft, SignatureError)


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.1"),
        lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.3"),
        lambda b: b.pop("dsseEnvelope"),
        lambda b: b["dsseEnvelope"].update(signatures=[]),
        lambda b: b["dsseEnvelope"].update(signatures=b["dsseEnvelope"]["signatures"] * 2),
        lambda b: b["verificationMaterial"].update(tlogEntries=[]),
        lambda b: b["verificationMaterial"].update(tlogEntries=b["verificationMaterial"]["tlogEntries"] * 2),
        lambda b: b["verificationMaterial"].update(tlog_entries=b["verificationMaterial"]["tlogEntries"]),
        lambda b: b["verificationMaterial"]["tlogEntries"][0].update(integrated_time="1"),
        lambda b: b["verificationMaterial"].pop("certificate"),
        lambda b: b["verificationMaterial"]["certificate"].update(rawBytes=b64(b"\x30\x00")),
        lambda b: b["verificationMaterial"]["tlogEntries"][0].update(logIndex="-1"),
        lambda b: b["verificationMaterial"]["tlogEntries"][0].update(integratedTime="9" * 30),
        lambda b: b["verificationMaterial"]["tlogEntries"][0].pop("canonicalizedBody"),
        lambda b: b.update(unknown="field"),
    ],
)
def test_the_form_is_not_that_of_a_bundle(scene: Scene, change: Callable[[dict[str, Any]], Any]) -> None:
    bundle = scene.draft().as_dict()
    change(bundle)
    _refused(scene, bundle, BundleError)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_the_bundle_is_not_strict_json(scene: Scene, data: bytes) -> None:
    _refused(scene, data, BundleError)


def test_a_key_of_the_bundle_appears_twice(scene: Scene) -> None:
    envelope = json.dumps(scene.draft().envelope).encode()
    twice = scene.draft().to_bytes().replace(b'"dsseEnvelope"', b'"dsseEnvelope": ' + envelope + b', "dsseEnvelope"')
    _refused(scene, twice, BundleError, "strict JSON")


def test_the_bundle_has_no_end(scene: Scene) -> None:
    _refused(scene, scene.draft().to_bytes() + b" " * (9 << 20), BundleError, "strict JSON")


def test_a_field_is_spelt_so_that_only_the_library_sees_it(scene: Scene) -> None:
    """With the log's time out of our sight, a stamp from a false authority would be the only time we see."""
    mixed = copy.copy(scene.instance)
    mixed.tsa = Instance().tsa
    scene.instance = mixed
    bundle = scene.draft().as_dict()
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    entry["integrated_time"] = entry.pop("integratedTime")
    _refused(scene, bundle, BundleError, "JSON name")


# -- time


def _later(minutes: int) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


def test_a_time_stamp_is_outside_the_certificates_validity(scene: Scene) -> None:
    for rekor in (1, 2):
        error = _refused(scene, scene.draft(rekor=rekor, stamp_time=_later(30)), TimeError, "not valid")
        assert "certificate_valid" in error.evidence
    _refused(scene, scene.draft(rekor=2, stamp_time=_later(-20)), TimeError, "not valid")


def test_the_logs_time_is_outside_the_certificates_validity(scene: Scene) -> None:
    _refused(scene, scene.draft(stamped=False, logged_time=_later(30)), TimeError, "not valid")


def test_an_expired_certificate_signs(scene: Scene) -> None:
    _refused(scene, scene.draft(start=_later(-20)), TimeError, "not valid")


def test_a_rekor_v2_entry_comes_without_a_time_stamp(scene: Scene) -> None:
    """The library refuses the form: a bundle needs a promise or a time-stamp."""
    _refused(scene, scene.draft(rekor=2, stamped=False), BundleError)


def test_the_time_stamp_is_over_another_signature(scene: Scene) -> None:
    for rekor in (1, 2):
        draft = scene.draft(rekor=rekor)
        draft.timestamps = scene.draft().timestamps
        _refused(scene, draft, TimeError)


def test_the_time_stamp_is_from_an_authority_nobody_vouched_for(scene: Scene) -> None:
    """With a log promise sigstore-python passes over such a stamp; its time must not become evidence."""
    mixed = copy.copy(scene.instance)
    mixed.tsa = Instance().tsa
    scene.instance = mixed
    for rekor in (1, 2):
        _refused(scene, scene.draft(rekor=rekor), TimeError)


def test_the_promise_that_binds_the_logs_time_is_for_another_time(scene: Scene) -> None:
    draft = scene.draft(stamped=False)
    draft.entry["integratedTime"] = str(int(draft.entry["integratedTime"]) + 1)
    _refused(scene, draft, LogEntryError)


def test_the_promise_is_stripped_and_the_time_left(scene: Scene) -> None:
    draft = scene.draft(stamped=False)
    del draft.entry["inclusionPromise"]
    _refused(scene, draft, BundleError)
    draft.entry["inclusionPromise"] = None
    _refused(scene, draft, BundleError)


# -- the certificate


def test_a_forged_authority_with_the_same_names_issues_the_certificate(scene: Scene) -> None:
    """Logged, promised and stamped by the honest services: only the authority is false."""
    mixed = copy.copy(scene.instance)
    mixed.fulcio = Instance(scene.instance.url).fulcio
    mixed.fulcio.ctlog = scene.instance.ctlog
    scene.instance = mixed
    _refused(scene, scene.draft(), CertificateError, "does not chain")


def test_the_certificate_is_not_for_code_signing(scene: Scene) -> None:
    _refused(scene, scene.draft(code_signing=False), CertificateError, "code signing")


@pytest.mark.parametrize(
    ("oid", "value"),
    [("2.5.29.17", "3002a300"), ("2.5.29.17", "30"), ("2.5.29.15", "0500"), ("1.3.6.1.4.1.11129.2.4.2", "0400")],
    ids=["unsupported kind of name", "truncated names", "key usage of another type", "empty list of promises"],
)
def test_the_certificate_is_malformed_inside(scene: Scene, oid: str, value: str) -> None:
    """Bytes that make the parser raise, each in its own way, when the extensions are first looked at."""
    key = scene.instance.fulcio.intermediate.key
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), bytes.fromhex(value))
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([])).serial_number(1)
    builder = builder.public_key(key.public_key()).not_valid_before(_later(-5)).not_valid_after(_later(5))
    draft = scene.draft()
    draft.certificate = builder.add_extension(extension, critical=True).sign(key, hashes.SHA384())
    _refused(scene, draft, CertificateError)


def test_the_certificate_was_never_promised_to_a_log(scene: Scene) -> None:
    _refused(scene, scene.draft(sct=False), SctError, "no promise")


def test_the_promise_is_by_a_certificate_log_nobody_vouched_for(scene: Scene) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    _refused(scene, scene.draft(sct_key=key), SctError, "no trusted")


# -- the log entry


def _checkpoint(entry: dict[str, Any]) -> dict[str, Any]:
    return {"checkpoint": entry["inclusionProof"]["checkpoint"]}


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda entry, _: entry.pop("inclusionProof"), BundleError),
        (lambda entry, _: entry["inclusionProof"].pop("checkpoint"), BundleError),
        (lambda entry, _: entry["inclusionProof"].update(hashes=entry["inclusionProof"]["hashes"][1:]), LogEntryError),
        (lambda entry, _: entry["inclusionProof"].update(rootHash=b64(b"\0" * 32)), LogEntryError),
        (lambda entry, _: entry["inclusionProof"].update(logIndex="0"), LogEntryError),
        (lambda entry, other: entry["inclusionProof"].update(_checkpoint(other)), LogEntryError),
        (lambda entry, other: entry.update(logId=other["logId"]), LogEntryError),
    ],
    ids=["no proof", "no checkpoint", "short path", "other root", "other index", "checkpoint of another log", "log id"],
)  # fmt: skip
def test_the_inclusion_proof_is_stripped_or_false(
    scene: Scene, rekor: int, change: Callable[[dict[str, Any], dict[str, Any]], Any], error: type[VerificationError]
) -> None:
    foreign = draft_bundle(Instance(), scene.statement, workflow_claims(), rekor=rekor).entry
    draft = scene.draft(rekor=rekor)
    change(draft.entry, foreign)
    _refused(scene, draft, error)


@pytest.mark.parametrize("rekor", [1, 2])
def test_the_entry_is_in_a_log_nobody_vouched_for(scene: Scene, rekor: int) -> None:
    mixed = copy.copy(scene.instance)
    other = Instance()
    mixed.rekor_v1, mixed.rekor_v2 = other.rekor_v1, other.rekor_v2
    scene.instance = mixed
    _refused(scene, scene.draft(rekor=rekor), LogEntryError, "does not vouch")


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_log_lies_about_its_id_and_signs_with_another_key(scene: Scene, rekor: int) -> None:
    """sigstore-python tries every trusted key; here only the key of the log that the entry names counts."""
    mixed = copy.copy(scene.instance)
    log = copy.copy(mixed.rekor_v1 if rekor == 1 else mixed.rekor_v2)
    log.key = Instance().rekor_v1.key if rekor == 1 else Instance().rekor_v2.key
    honest = scene.draft(rekor=rekor).entry["logId"]
    mixed.rekor_v1, mixed.rekor_v2 = (log, mixed.rekor_v2) if rekor == 1 else (mixed.rekor_v1, log)  # type: ignore[assignment]
    scene.instance = mixed
    draft = scene.draft(rekor=rekor)
    draft.entry["logId"] = honest
    _refused(scene, draft, LogEntryError)


@pytest.mark.parametrize("rekor", [1, 2])
def test_the_entry_is_of_another_signature(scene: Scene, rekor: int) -> None:
    """Everything verifies by itself, but what was logged is not what is shown."""
    draft = scene.draft(rekor=rekor)
    draft.entry = scene.draft(rekor=rekor).entry
    _refused(scene, draft, LogEntryError, "something else")


@pytest.mark.parametrize("rekor", [1, 2])
def test_the_entry_claims_to_be_of_another_kind(scene: Scene, rekor: int) -> None:
    draft = scene.draft(rekor=rekor)
    draft.entry["kindVersion"] = {"kind": "intoto", "version": "0.0.2"}
    scene.place(draft)
    with pytest.raises(LogEntryError if rekor == 2 else VerificationError):
        scene.verify()

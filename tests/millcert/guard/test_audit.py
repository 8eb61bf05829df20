"""The audit: for every rule an input that breaks it, at which line, and a neighbour that does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.confusion import AUDIT_DAY, ROOT

from millcert.guard import Answer, Finding, Presence, Scene, Severity, audit
from millcert.guard.address import Address, parse_address
from millcert.guard.options import read_environment
from millcert.guard.reading import read_input
from millcert.guard.rules import RULES
from millcert.lock.namespaces import parse_namespaces
from millcert.names import NormalizedName

NAMESPACES = parse_namespaces(
    b'upstream = "pypi"\n[owned.ours]\nnames = ["wootz", "millcert"]\nprefixes = ["wootz-", "millcert-"]\n'
)
ADDRESSES = {
    "pypi": [parse_address("https://public.example/simple/")],
    "ours": [parse_address("https://ours.example/nightly/")],
}
HASH = "--hash=sha256:" + "0" * 64
ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


def findings(files: dict[str, str], environ: dict[str, str] | None = None, **scene: object) -> tuple[Finding, ...]:
    facts = [item for name, text in files.items() for item in read_input(name, text.encode())]
    facts += read_environment(environ or {})
    return audit(Scene(facts, NAMESPACES, AUDIT_DAY, **{"addresses": ADDRESSES, **scene}), files).findings  # type: ignore[arg-type]


def rules(found: Sequence[Finding]) -> set[str]:
    return {finding.rule for finding in found}


def only(found: Sequence[Finding], rule: str) -> Finding:
    (finding,) = [finding for finding in found if finding.rule == rule]
    return finding


UV_LOCK = """version = 1
[[package]]
name = "wootz"
version = "1.0"
source = { registry = "https://%s/simple" }
wheels = [ { url = "%s/wootz-1.0-py3-none-any.whl", hash = "%s" } ]
"""
POETRY_LOCK = """[[package]]
name = "numpy"
version = "2.0"
files = [{file = "numpy-2.0-py3-none-any.whl", hash = "sha256:00"}]

[[package]]
name = "wootz"
version = "1.0"
files = [{file = "wootz-1.0-py3-none-any.whl", hash = "sha256:00"}]
%s
"""
PYLOCK = """lock-version = "1.0"
created-by = "test"
[[packages]]
name = "wootz"
version = "1.0"
index = "https://%s/simple"
wheels = [{name = "wootz-1.0-py3-none-any.whl", url = "https://x.example/wootz-1.0-py3-none-any.whl", hashes = {%s}}]
"""
POETRY_SOURCE = '[package.source]\ntype = "legacy"\nurl = "https://%s/nightly/cpu"\nreference = "x"\n'
LOCKED = f"wootz==1.0 \\\n    {HASH}\n    # index: %s\n"

# rule, severity, file, text, line or key of the finding
BREACHES = [
    ("MG001", ERROR, "uv.lock", "version = \n", 1),
    ("MG001", ERROR, "pip.conf", "index-url = x\n", 1),
    ("MG002", WARNING, "requirements.txt", "numpy\n???\n", 2),
    ("MG101", ERROR, "requirements.txt", f"--extra-index-url https://b.example/\nx==1 {HASH}\n", 1),
    ("MG101", ERROR, "requirements.txt", f"\n\n--extra-index-url=https://b.example/\nx==1 {HASH}\n", 3),
    ("MG101", ERROR, "pip.conf", "[global]\nindex-url = https://a.example/\nextra-index-url = https://b.example/\n", 3),
    ("MG101", ERROR, "pip.conf", "[install]\nextra_index_url =\n    https://b.example/\n", 2),
    ("MG101", ERROR, "Dockerfile", "FROM x\nRUN pip install \\\n  --extra-index-url https://b.example/ wootz\n", 2),
    ("MG101", ERROR, "Dockerfile", "ARG X\nENV PIP_EXTRA_INDEX_URL=https://b.example/\n", 2),
    ("MG101", ERROR, "ci.yaml", 'env:\n  PIP_EXTRA_INDEX_URL: "https://b.example/"\n', 2),
    ("MG101", ERROR, "pyproject.toml", '[[tool.pdm.source]]\nname = "b"\nurl = "https://b.example/"\n', 3),
    ("MG101", ERROR, "pyproject.toml",
     '[[tool.poetry.source]]\nname = "a"\nurl = "https://a.example/"\n'
     '[[tool.poetry.source]]\nname = "b"\nurl = "https://b.example/"\n', 6),
    ("MG102", ERROR, "requirements.txt", "-f https://b.example/links.html\n", 1),
    ("MG102", WARNING, "requirements.txt", "--find-links ./wheels\n", 1),
    ("MG102", WARNING, "uv.toml", 'find-links = ["/wheels"]\n', 1),
    ("MG103", ERROR, "uv.toml", 'index-strategy = "unsafe-best-match"\nextra-index-url = ["https://b.example/"]\n', 1),
    ("MG103", WARNING, "pyproject.toml", '[tool.uv]\nindex-strategy = "unsafe-first-match"\n', 2),
    ("MG104", WARNING, "pyproject.toml", '[[tool.uv.index]]\nname = "b"\nurl = "https://b.example/"\n', 3),
    ("MG104", WARNING, "ci.yml", "- run: uv pip install --index b=https://b.example/ wootz\n", 1),
    ("MG201", WARNING, "requirements.txt", f"wootz>=1 {HASH}\n", 1),
    ("MG201", WARNING, "requirements.txt", f"Wootz_Kernels {HASH}\n", 1),
    ("MG201", ERROR, "requirements.txt", f"--extra-index-url https://b.example/\nwootz==1.* {HASH}\n", 2),
    ("MG202", ERROR, "requirements.txt", LOCKED % "pypi", 1),
    ("MG202", ERROR, "uv.lock", UV_LOCK % ("public.example", "https://f.example", "sha256:00"), 3),
    ("MG202", ERROR, "uv.lock", UV_LOCK % ("elsewhere.example", "https://f.example", "sha256:00"), 3),
    ("MG202", ERROR, "poetry.lock", POETRY_LOCK % "", 7),
    ("MG202", ERROR, "poetry.lock", POETRY_LOCK % POETRY_SOURCE % "elsewhere.example", 7),
    ("MG202", ERROR, "pylock.toml", PYLOCK % ("public.example", 'sha256 = "00"'), 4),
    ("MG203", ERROR, "requirements.txt", f"w00tz==1.0 {HASH}\n", 1),
    ("MG203", ERROR, "requirements.in", "m1llcert\n", 1),
    ("MG203", ERROR, "pyproject.toml", '[project]\nname = "x"\ndependencies = [\n "wo-otz",\n]\n', 3),
    ("MG203", ERROR, "pdm.lock", '[[package]]\nname = "w0otz-kernels"\nversion = "1"\n', 2),
    ("MG204", WARNING, "requirements.txt", f"wootz==0.1.dev20260901 {HASH}\n", 1),
    ("MG301", WARNING, "requirements.txt", "wootz==1.0\n", 1),
    ("MG301", WARNING, "requirements.txt", f"a==1 {HASH}\nb==1\n", 2),
    ("MG301", NOTE, "requirements.txt", "a==1\nb==1\n", 1),
    ("MG301", ERROR, "uv.lock", UV_LOCK % ("ours.example/nightly/cpu", "https://f.example", ""), 3),
    ("MG301", ERROR, "pylock.toml", PYLOCK % ("ours.example/nightly", ""), 4),
    ("MG302", ERROR, "requirements.txt", "a==1 --hash=md5:00\n", 1),
    ("MG302", ERROR, "pylock.toml", PYLOCK % ("ours.example/nightly", 'md5 = "00"'), 4),
    ("MG303", WARNING, "uv.toml", "[pip]\nno-verify-hashes = true\n", 2),
    ("MG401", ERROR, "pip.conf", "[global]\nindex-url = http://a.example/\n", 2),
    ("MG401", ERROR, "uv.lock", UV_LOCK % ("ours.example/nightly", "http://f.example", "sha256:00"), 3),
    ("MG402", ERROR, "pip.conf", "[global]\ntrusted-host = a.example\n", 2),
    ("MG402", ERROR, "uv.toml", 'allow-insecure-host = ["a.example:8080"]\n', 1),
    ("MG403", WARNING, "requirements.txt", "-i https://me:hunter2@a.example/simple\n", 1),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "severity", "file", "text", "line"), BREACHES)
def test_a_breach_is_found_where_it_is(rule: str, severity: Severity, file: str, text: str, line: int) -> None:
    found = [finding for finding in findings({file: text}) if finding.rule == rule]
    assert [(finding.severity, finding.place.file, finding.place.line) for finding in found] == [(severity, file, line)]
    assert found[0].fix
    assert "hunter2" not in str(found[0].as_dict())


def test_every_rule_is_tried() -> None:
    online = {"MG205", "MG251", "MG252", "MG253"}  # below
    assert {breach[0] for breach in BREACHES} | online == {rule.id for rule in RULES}
    assert len({rule.id for rule in RULES}) == len(RULES) == len({rule.name for rule in RULES})


CLEAN = [
    ("requirements.txt", f"--index-url https://ours.example/nightly/cpu\nwootz==1.0 {HASH}\nnumpy==2.0 {HASH}\n"),
    ("requirements.txt", f"--no-index\n--find-links ./wheels\nwootz==1.0 \\\n    {HASH}  # ours\n"),
    ("requirements.txt", f"-i https://a.example/simple\n--extra-index-url https://a.example/simple/\nx==1 {HASH}\n"),
    ("requirements.txt", LOCKED % "ours"),
    ("requirements.txt", f"wootz==0.1.dev20261120 {HASH}\n# --extra-index-url https://b.example/\n"),
    ("requirements.txt", f"wootz @ https://ours.example/wootz-1.0-py3-none-any.whl#sha256={'0' * 64}\n"),
    ("requirements.in", "wootz\nnumpy>=2\nwootzy\n"),
    ("pip.conf", "[global]\nindex-url = https://ours.example/nightly/cpu\ntrusted-host = 127.0.0.1\n"),
    ("pip.conf", "[global]\nindex-url = http://127.0.0.1:8000/simple/\n"),
    ("pyproject.toml",
     '[project]\nname = "x"\ndependencies = ["wootz"]\n[[tool.uv.index]]\nname = "b"\n'
     'url = "https://ours.example/nightly/cpu"\nexplicit = true\n[tool.uv.sources]\nwootz = { index = "b" }\n'),
    ("pyproject.toml", '[[tool.uv.index]]\nname = "b"\nurl = "https://ours.example/nightly/cpu"\ndefault = true\n'),
    ("pyproject.toml", '[[tool.poetry.source]]\nname = "a"\nurl = "https://a.example/"\n'),
    ("uv.lock", UV_LOCK % ("ours.example/nightly/cpu", "https://f.example", "sha256:00")),
    ("poetry.lock", POETRY_LOCK % POETRY_SOURCE % "ours.example"),
    ("pylock.cu129.toml", PYLOCK % ("ours.example/nightly", 'sha256 = "00"')),
    ("Dockerfile", "RUN pip install --index-url https://ours.example/nightly/cpu wootz\nRUN echo --extra-index-url\n"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "text"), CLEAN)
def test_what_is_safe_is_not_reported(file: str, text: str) -> None:
    assert [finding.as_dict() for finding in findings({file: text})] == []


def test_evidence_names_both_indexes_and_the_name() -> None:
    text = "-i https://a.example/simple\n--extra-index-url https://b.example/simple\nwootz\n"
    found = findings({"requirements.txt": text})
    assert only(found, "MG101").evidence == {
        "first": "https://a.example/simple", "second": "https://b.example/simple",
    }  # fmt: skip
    assert only(found, "MG201").evidence == {
        "name": "wootz", "owner": "ours", "first": "https://a.example/simple", "second": "https://b.example/simple",
    }  # fmt: skip


def test_environment_variables_count_for_every_file() -> None:
    files = {"requirements.txt": f"wootz>=1 {HASH}\n"}
    assert only(findings(files), "MG201").severity is WARNING
    found = findings(files, {"PIP_EXTRA_INDEX_URL": "https://b.example/ https://c.example/"})
    assert only(found, "MG201").severity is ERROR
    merged = [finding for finding in found if finding.rule == "MG101"]
    assert [(item.place.file, item.place.key, item.evidence["second"]) for item in merged] == [
        ("environment", "PIP_EXTRA_INDEX_URL", "https://b.example/"),
        ("environment", "PIP_EXTRA_INDEX_URL", "https://c.example/"),
    ]


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("PIP_TRUSTED_HOST", "a.example", "MG402"),
        ("PIP_INDEX_URL", "http://a.example/", "MG401"),
        ("PIP_FIND_LINKS", "https://a.example/", "MG102"),
        ("UV_INDEX", "b=https://b.example/", "MG104"),
        ("UV_EXTRA_INDEX_URL", "https://b.example/", "MG104"),
        ("UV_INDEX_STRATEGY", "unsafe-best-match", "MG103"),
        ("UV_INSECURE_HOST", "a.example", "MG402"),
        ("UV_NO_VERIFY_HASHES", "1", "MG303"),
        ("UV_FIND_LINKS", "https://a.example/,https://b.example/", "MG102"),
    ],
)
def test_variables(variable: str, value: str, rule: str) -> None:
    found = findings({}, {variable: value})
    assert rules(found) == {rule}
    assert {finding.place.key for finding in found} == {variable}
    assert findings({}, {variable: ""}) == ()


def test_included_files_are_one_with_those_that_include_them() -> None:
    files = {
        "reqs/requirements.txt": f"-r ../base-requirements.txt\n-c constraints.txt\nwootz-a {HASH}\n",
        "base-requirements.txt": f"--extra-index-url https://b.example/\nwootz-b {HASH}\n",
        "reqs/constraints.txt": "wootz-a==1.0\n",
        "other-requirements.txt": f"wootz-c {HASH}\n",
    }
    found = {f.evidence["name"]: f.severity for f in findings(files) if f.rule == "MG201"}
    assert found == {"wootz-b": ERROR, "wootz-c": WARNING}  # wootz-a is held by the constraint


def test_an_origin_that_cannot_be_told_is_said() -> None:
    lock = UV_LOCK % ("elsewhere.example", "https://f.example", "sha256:00")
    found = findings({"uv.lock": lock}, addresses={})
    assert rules(found) == {"MG205"}
    assert only(found, "MG205").severity is NOTE


# -- online

BOTH = {"requirements.txt": f"--extra-index-url https://ours.example/nightly/\ninternal==1.0 {HASH}\n"}


@pytest.mark.parametrize(
    ("public", "private", "expected"),
    [
        (Presence.ABSENT, Presence.PRESENT, {"MG251"}),
        (Presence.PRESENT, Presence.ABSENT, {"MG251"}),
        (Presence.PRESENT, Presence.PRESENT, {"MG252"}),
        (Presence.UNAVAILABLE, Presence.PRESENT, {"MG253"}),
        (Presence.ABSENT, Presence.ABSENT, set()),
    ],
)
def test_online(public: Presence, private: Presence, expected: set[str]) -> None:
    def ask(address: Address, name: NormalizedName) -> Answer:
        assert name == "internal"
        return Answer(public if address.host == "public.example" else private, ("1.0",))

    assert rules(findings(BOTH, ask=ask)) - {"MG101"} == expected


def test_our_own_repository_is_clean() -> None:
    from millcert.guard.machine import LocalMachine, gather
    from millcert.lock.namespaces import read_namespaces

    root = ROOT
    facts, inputs = gather(LocalMachine({}), [str(root)], whole_machine=False)
    assert any(name.endswith("lockfiles/tests/any.txt") for name in inputs)
    scene = Scene(facts, read_namespaces(root / "lockfiles" / "namespaces.toml"), AUDIT_DAY)
    assert [finding.as_dict() for finding in audit(scene, inputs).findings] == []


def test_the_shipped_map_is_the_project_s() -> None:
    import millcert.guard

    shipped = Path(millcert.guard.__file__).with_name("owned.toml")
    assert shipped.read_bytes() == (ROOT / "lockfiles" / "namespaces.toml").read_bytes()


def test_the_reference_lists_every_rule() -> None:
    text = (ROOT / "docs" / "reference" / "guard.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| MG")]
    listed = [(row[1].strip(), row[2].strip(), row[3].split(";")[0].split(" in ")[0].strip()) for row in rows]
    severities = {"MG301": "error"}  # its row begins with the worst case
    assert listed == [(rule.id, rule.name, severities.get(rule.id, rule.severity.label)) for rule in RULES]

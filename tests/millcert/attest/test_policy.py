"""Policies: parsed so that a typing mistake cannot weaken them, judged by pure functions."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sigstore import Instance, draft_bundle, workflow_claims
from tests.support.sigstore.scene import COMMIT, IDENTITY, definition, rule

from millcert.attest import BuilderRule, Policy, parse_policy
from millcert.attest.claims import Claims, claims_of
from millcert.attest.policy import count_builders, refusals_of_build, refusals_of_claims
from millcert.errors import ConfigError

_POLICY = """
builders = 2

[[builder]]
name = "nightly"
identity = "https://github.com/example/wootz/.github/workflows/nightly.yml@refs/heads/main"
issuer = "https://token.actions.githubusercontent.com"
build-type = "https://t"
builder-id = "https://b"
same-commit = true

[builder.certificate]
source-repository-identifier = "1001"
build-trigger = ["schedule", "push"]

[[builder]]
identity-pattern = "https://rebuilder.example/*/builds"
issuer = "https://rebuilder.example"
"""


def test_a_policy_is_read_from_toml_and_from_the_same_json() -> None:
    import tomllib

    policy = parse_policy(_POLICY.encode())
    assert policy == parse_policy(json.dumps(tomllib.loads(_POLICY)).encode())
    assert policy.builders == 2
    assert policy.rules[0].certificate == {
        "source-repository-identifier": ("1001",),
        "build-trigger": ("schedule", "push"),
    }
    assert policy.rules[1] == BuilderRule(
        issuer="https://rebuilder.example", identity_pattern="https://rebuilder.example/*/builds"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("builders = 2", "builders = 3"),
        ("builders = 2", "builders = 0"),
        ("builders = 2", "builders = true"),
        ("builders = 2", "builder-count = 2"),
        ("same-commit = true", "same-commits = true"),
        ("same-commit = true", 'same-commit = "yes"'),
        ("source-repository-identifier", "source-repository-id"),
        ('source-repository-identifier = "1001"', "source-repository-identifier = 1001"),
        ('["schedule", "push"]', "[]"),
        ('["schedule", "push"]', '["schedule", ""]'),
        ('issuer = "https://rebuilder.example"', ""),
        ('identity-pattern = "https://rebuilder.example/*/builds"', ""),
        ("identity-pattern", 'identity = "x"\nidentity-pattern'),
        ('name = "nightly"', "name = 7"),
        ("[[builder]]", "[[builders]]"),
        ("[builder.certificate]", "[builder.certificate"),
    ],
)
def test_a_policy_with_a_mistake_is_refused(old: str, new: str) -> None:
    assert old in _POLICY
    with pytest.raises(ConfigError):
        parse_policy(_POLICY.replace(old, new).encode())


def test_every_reason_is_given() -> None:
    instance = Instance()
    claims = claims_of(
        draft_bundle(instance, b"{}", workflow_claims(ref="refs/heads/evil", trigger="push")).certificate
    )
    reasons = refusals_of_claims(rule(instance), claims)
    assert [reason.split()[0] for reason in reasons] == ["identity", "source-repository-ref", "build-trigger"]
    assert (
        refusals_of_claims(rule(instance), claims_of(draft_bundle(instance, b"{}", workflow_claims()).certificate))
        == ()
    )


@pytest.mark.parametrize(
    ("pattern", "identity", "matches"),
    [
        ("https://github.com/a/b@refs/tags/*", "https://github.com/a/b@refs/tags/v1", True),
        ("https://github.com/a/b@refs/tags/*", "https://github.com/a/b@refs/tags/v1/x", False),
        ("https://github.com/a/*", "https://github.com/a/", True),
        ("https://github.com/a/*", "https://githubXcom/a/b", False),
        ("https://github.com/a/*", "https://github.com/a/b\nhttps://github.com/a/c", False),
        ("*@example.org", "x@example.org.evil.example", False),
        ("[a-z]*", "b", False),
    ],
)
def test_a_pattern_is_literal_but_for_stars_within_a_segment(pattern: str, identity: str, matches: bool) -> None:
    refusals = refusals_of_claims(BuilderRule(issuer="i", identity_pattern=pattern), Claims(identity, "i", {}))
    assert (refusals == ()) is matches


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"build_type": "https://other"}, "build type"),
        ({"builder_id": "https://other"}, "builder id"),
        ({"external_parameters": {"dirty": True}}, "uncommitted"),
        ({"dependencies": []}, "commit"),
    ],
)
def test_a_statement_must_say_what_the_rule_demands(changes: dict[str, Any], word: str) -> None:
    instance = Instance()
    claims = Claims(IDENTITY, instance.issuer.url, {"source-repository-digest": COMMIT})
    assert refusals_of_build(rule(instance), claims, definition()) == ()
    (reason,) = refusals_of_build(rule(instance), claims, definition(**changes))
    assert word in reason


_PAIRS = st.lists(st.tuples(st.tuples(st.just("issuer"), st.sampled_from("abcd")), st.integers(0, 3)), max_size=12)


@given(_PAIRS)
def test_builders_are_counted_as_a_brute_force_search_counts_them(pairs: list[tuple[tuple[str, str], int]]) -> None:
    edges = set(pairs)
    best = 0
    for size in range(5):
        for chosen in itertools.combinations(edges, size):
            if len({identity for identity, _ in chosen}) == len({index for _, index in chosen}) == size:
                best = size
    assert count_builders(pairs) == best


def test_a_quorum_larger_than_the_builders_named_is_a_mistake() -> None:
    one = BuilderRule(issuer="i", identity="a")
    with pytest.raises(ConfigError, match="never be met"):
        Policy((one,), builders=2)
    with pytest.raises(ConfigError):
        Policy((), builders=0)

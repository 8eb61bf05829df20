"""What a verifier demands, as data, and the pure functions that hold facts against it.

A policy is TOML (or the same structure as JSON)::

    builders = 2                       # how many distinct builders must attest the same digest; default 1

    [[builder]]                        # one table for each builder that counts
    name = "nightly workflow"
    identity = "https://github.com/example/wootz/.github/workflows/nightly.yml@refs/heads/main"
    issuer = "https://token.actions.githubusercontent.com"
    build-type = "https://example.org/millcert/wheel/v1"
    builder-id = "https://example.org/millcert/hermetic/v1"
    same-commit = true                 # the certificate's commit is among the statement's dependencies

    [builder.certificate]              # Fulcio's extensions by name; a list means any of these
    source-repository-identifier = "1001"
    source-repository-ref = "refs/heads/main"
    build-trigger = ["schedule", "workflow_dispatch"]

``identity-pattern`` instead of ``identity`` allows ``*`` within one path segment. However many identities a
pattern lets in, a ``[[builder]]`` counts once.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from millcert.attest.claims import EXTENSIONS, Claims
from millcert.attest.errors import printable
from millcert.attest.statement import BuildDefinition
from millcert.attest.strictjson import NotStrictError, parse
from millcert.errors import ConfigError

__all__ = ["BuilderRule", "Policy", "count_builders", "parse_policy", "refusals_of_build", "refusals_of_claims"]

_MAX_POLICY = 1 << 20
_RULE_KEYS = {
    "name", "identity", "identity-pattern", "issuer", "build-type", "builder-id", "same-commit", "certificate",
}  # fmt: skip


@dataclass(frozen=True)
class BuilderRule:
    """One builder that counts: who signs, and what a certificate and a statement of theirs must say.

    Exactly one of ``identity`` and ``identity_pattern`` is set. ``certificate`` maps names of
    ``claims.EXTENSIONS`` to the values that are allowed.
    """

    issuer: str
    identity: str = ""
    identity_pattern: str = ""
    name: str = ""
    build_type: str = ""
    builder_id: str = ""
    same_commit: bool = False
    certificate: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.identity) == bool(self.identity_pattern):
            raise ConfigError("a builder needs either an identity or an identity-pattern", builder=self.title)
        if not self.issuer:
            raise ConfigError("a builder needs an issuer: an identity means nothing without one", builder=self.title)
        if unknown := sorted(set(self.certificate) - set(EXTENSIONS)):
            raise ConfigError("no such certificate extension", found=unknown[0], known=", ".join(EXTENSIONS))
        if empty := [name for name, allowed in self.certificate.items() if not allowed]:
            raise ConfigError("a certificate extension with no allowed value", found=empty[0], builder=self.title)

    @property
    def title(self) -> str:
        """What messages call this builder."""
        return self.name or self.identity or self.identity_pattern


@dataclass(frozen=True)
class Policy:
    """The builders that count, and how many of them must agree."""

    rules: tuple[BuilderRule, ...]
    builders: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.builders <= len(self.rules):
            raise ConfigError(
                "the policy can never be met: each builder counts once",
                demanded=self.builders, builders_named=len(self.rules),
                fix="name at least as many builders as must agree, and demand at least one",
            )  # fmt: skip


def refusals_of_claims(rule: BuilderRule, claims: Claims) -> tuple[str, ...]:
    """Why a certificate is not this builder's: one line for each thing that is wrong, none if it is."""
    reasons = []
    if claims.issuer != rule.issuer:
        reasons.append(f"issuer is {printable(claims.issuer)}, not {rule.issuer}")
    if rule.identity and claims.identity != rule.identity:
        reasons.append(f"identity is {printable(claims.identity)}, not {rule.identity}")
    if rule.identity_pattern and not _matches(rule.identity_pattern, claims.identity):
        reasons.append(f"identity {printable(claims.identity)} does not match {rule.identity_pattern}")
    for name, allowed in rule.certificate.items():
        found = claims.extensions.get(name)
        if found not in allowed:
            said = "is absent" if found is None else f"is {printable(found)}"
            reasons.append(f"{name} {said}, not {' or '.join(allowed)}")
    return tuple(reasons)


def refusals_of_build(rule: BuilderRule, claims: Claims, build: BuildDefinition) -> tuple[str, ...]:
    """Why a statement of this builder's is not acceptable: one line for each thing that is wrong."""
    reasons = []
    if rule.build_type and build.build_type != rule.build_type:
        reasons.append(f"build type is {printable(build.build_type)}, not {rule.build_type}")
    if rule.builder_id and build.builder_id != rule.builder_id:
        reasons.append(f"builder id is {printable(build.builder_id)}, not {rule.builder_id}")
    if build.dirty:
        reasons.append("the source tree had uncommitted changes")
    commit = claims.extensions.get("source-repository-digest")
    if rule.same_commit and commit not in build.commits:
        said = ", ".join(sorted(build.commits)) or "none"
        reasons.append(f"the certificate's commit is {printable(commit)}, the statement's {printable(said)}")
    return tuple(reasons)


def count_builders(pairs: Iterable[tuple[tuple[str, str], int]]) -> int:
    """How many distinct builders (identity, rule) pairs stand for.

    An identity stands for at most one rule and a rule is stood for by at most one identity, so neither one
    builder signing twice nor one pattern that lets many identities in is counted twice: the size of a maximum
    matching (Kuhn's algorithm).
    """
    options: dict[tuple[str, str], set[int]] = {}
    for identity, rule in pairs:
        options.setdefault(identity, set()).add(rule)
    holder: dict[int, tuple[str, str]] = {}

    def place(identity: tuple[str, str], tried: set[int]) -> bool:
        for rule in sorted(options[identity] - tried):
            tried.add(rule)
            if rule not in holder or place(holder[rule], tried):
                holder[rule] = identity
                return True
        return False

    return sum(place(identity, set()) for identity in sorted(options))


def parse_policy(data: bytes) -> Policy:
    """A policy from TOML or JSON; ConfigError for anything unknown, since a typing mistake would weaken it."""
    document = _document(data)
    _only(document, {"builders", "builder"}, "policy")
    rules = document.get("builder")
    if not isinstance(rules, list) or not rules:
        raise ConfigError("the policy names no builder", expected="at least one [[builder]] table")
    builders = document.get("builders", 1)
    if not isinstance(builders, int) or isinstance(builders, bool):
        raise ConfigError("`builders` is not a whole number", found=printable(builders))
    return Policy(tuple(_rule(rule) for rule in rules), builders)


def _document(data: bytes) -> dict[str, Any]:
    try:
        if data.lstrip()[:1] == b"{":
            document = parse(data, limit=_MAX_POLICY)
        else:
            document = tomllib.loads(data.decode())
    except (NotStrictError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("the policy is neither TOML nor strict JSON", reason=printable(error)) from None
    return dict(document)


def _rule(fields: object) -> BuilderRule:
    if not isinstance(fields, dict):
        raise ConfigError("a builder is not a table", found=type(fields).__name__)
    _only(fields, _RULE_KEYS, "[[builder]]")
    certificate = fields.get("certificate", {})
    if not isinstance(certificate, dict):
        raise ConfigError("[builder.certificate] is not a table", found=type(certificate).__name__)
    same_commit = fields.get("same-commit", False)
    if not isinstance(same_commit, bool):
        raise ConfigError("`same-commit` is neither true nor false", found=printable(same_commit))
    return BuilderRule(
        issuer=_text(fields, "issuer"),
        identity=_text(fields, "identity"),
        identity_pattern=_text(fields, "identity-pattern"),
        name=_text(fields, "name"),
        build_type=_text(fields, "build-type"),
        builder_id=_text(fields, "builder-id"),
        same_commit=same_commit,
        certificate={name: _allowed(name, value) for name, value in certificate.items()},
    )


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key, "")
    if not isinstance(value, str) or (key in fields and not value):
        raise ConfigError(f"`{key}` is not a text", found=printable(value))
    return value


def _allowed(name: str, value: object) -> tuple[str, ...]:
    values: Sequence[object] = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    if not values or not all(isinstance(one, str) and one for one in values):
        raise ConfigError(f"`{name}` is neither a text nor a list of texts", found=printable(value))
    return tuple(str(one) for one in values)


def _only(fields: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(fields) - known):
        raise ConfigError(f"unknown key in {where}", found=printable(unknown[0]), known=", ".join(sorted(known)))


def _matches(pattern: str, identity: str) -> bool:
    """Literal but for ``*``, which stands for anything within one path segment."""
    return re.fullmatch("[^/]*".join(re.escape(part) for part in pattern.split("*")), identity) is not None

"""The way from an index to this machine: whoever stands in it must not be able to change what comes."""

from __future__ import annotations

from collections.abc import Iterator

from millcert.guard.address import Address, parse_address
from millcert.guard.facts import Facts
from millcert.guard.finding import Finding, Place, Severity
from millcert.guard.rules.rule import Rule
from millcert.guard.scene import Scene

__all__ = ["RULES"]


def _addresses(facts: Facts) -> Iterator[tuple[Address, Place]]:
    for index in facts.indexes:
        yield index.address, index.place
    for entry in facts.entries:
        for address in (entry.origin, entry.direct, *entry.files):
            if address is not None:
                yield address, entry.place


def _plain(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for facts in scene.facts:
        seen: set[str] = set()
        for address, place in _addresses(facts):
            if address.plain and address.host not in seen:
                seen.add(address.host)
                yield rule.finding(
                    f"{address.host} is asked over plain {address.scheme.upper()}", place,
                    expected="https", found=address.shown,
                )  # fmt: skip


def _trusted(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for facts in scene.facts:
        for setting in facts.settings:
            host = parse_address(f"https://{setting.value}")
            if setting.key == "trusted-host" and setting.value and not host.loopback:
                yield rule.finding(
                    f"{facts.tool} does not check the certificate of {host.shown.removeprefix('https://')}",
                    setting.place, found=host.shown.removeprefix("https://"),
                )  # fmt: skip


def _credential(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for facts in scene.facts:
        seen: set[str] = set()
        for address, place in _addresses(facts):
            if address.credential and address.host not in seen:
                seen.add(address.host)
                yield rule.finding(f"a password for {address.host} stands in an address", place, found=address.shown)


RULES = (
    Rule(
        "MG401", "plain-http", Severity.ERROR, "Anybody on the way can change what the index says and sends.",
        "use https", _plain,
    ),
    Rule(
        "MG402", "trusted-host", Severity.ERROR,
        "Certificates are not checked: anybody on the way can stand in for the index.",
        "remove the setting; give the authority's certificate with `cert` or SSL_CERT_FILE", _trusted,
    ),
    Rule(
        "MG403", "password-in-address", Severity.WARNING,
        "A password in a file is read by everybody who reads the file.",
        "use a keyring, .netrc or a variable that the installer expands", _credential,
    ),
)  # fmt: skip

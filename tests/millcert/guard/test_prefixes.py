"""Reserved prefixes (PEP 752): what an index says of them, and what the watch makes of it."""

from __future__ import annotations

import pytest

from millcert.errors import FetchError
from millcert.guard import Answer, Presence
from millcert.guard.address import Address, parse_address
from millcert.guard.prefixes import Status, check_prefixes, status_of
from millcert.index import Reservation, parse_page
from millcert.lock.namespaces import Namespaces
from millcert.names import NormalizedName, normalize

WOOTZ = normalize("wootz")


def told(prefix: str = "wootz", *, authorized: bool = True, opened: bool = False) -> Answer:
    reservation = Reservation(normalize(prefix), authorized, opened)
    return Answer(Presence.PRESENT, tells=True, reservation=reservation)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (told(), Status.RESERVED), (told(opened=True), Status.OPEN), (told(authorized=False), Status.FOREIGN),
        (told(authorized=False, opened=True), Status.FOREIGN), (told("woot"), Status.FREE),
        (told("wootz-kernels"), Status.FREE), (Answer(Presence.PRESENT, tells=True), Status.FREE),
        (Answer(Presence.PRESENT), Status.UNSAID), (Answer(Presence.ABSENT), Status.ABSENT),
        (Answer(Presence.UNAVAILABLE, reason="503"), Status.SILENT),
    ],
    ids=lambda value: value.name if isinstance(value, Status) else "",
)  # fmt: skip
def test_what_an_answer_says_of_a_prefix(answer: Answer, expected: Status) -> None:
    assert status_of("wootz-", answer) is expected


def test_a_longer_prefix_of_ours_is_covered_by_a_shorter_reservation() -> None:
    assert status_of("wootz-cuda-", told("wootz")) is Status.RESERVED


def test_every_prefix_is_asked_for_on_every_index() -> None:
    asked: list[tuple[str, NormalizedName]] = []

    def ask(address: Address, name: NormalizedName) -> Answer:
        asked.append((str(address.host), name))
        return told(authorized=address.host == "b.example")

    indexes = {"a": [parse_address("https://a.example/simple/")], "b": [parse_address("https://b.example/simple/")]}
    found = check_prefixes(Namespaces("a", {WOOTZ: "ours"}, {"wootz-": "ours"}), indexes, ask)
    assert asked == [("a.example", WOOTZ), ("b.example", WOOTZ)]
    assert [(prefix.index, prefix.status.alarm) for prefix in found] == [("a", True), ("b", False)]


def page(more: str) -> object:
    data = f'{{"meta": {{"api-version": "1.5"}}, "name": "wootz", "files": []{more}}}'
    address = "https://a.example/simple/wootz/"
    return parse_page(
        data.encode(), "application/vnd.pypi.simple.v1+json", name=WOOTZ, index="a", address=address
    )  # fmt: skip


def test_a_page_says_whether_it_is_reserved() -> None:
    elsewhere = ', "alternate-locations": ["https://ours.example/simple/wootz/"]'  # PEP 708 is not followed
    assert page("") == page(elsewhere)
    silent, free = page(""), page(', "namespace": null')
    assert (silent.tells, free.tells, free.reservation) == (False, True, None)  # type: ignore[attr-defined]  # a page
    held = page(', "namespace": {"prefix": "Wootz", "authorized": true, "open": false}')
    assert held.reservation == Reservation(WOOTZ, True, False)  # type: ignore[attr-defined]  # a page


@pytest.mark.parametrize(
    "namespace",
    ["3", "{}", '{"prefix": "wootz", "authorized": "yes", "open": false}',
     '{"prefix": "/", "authorized": true, "open": true}'],
)  # fmt: skip
def test_a_reservation_that_is_none(namespace: str) -> None:
    with pytest.raises(FetchError, match="no project page"):
        page(f', "namespace": {namespace}')

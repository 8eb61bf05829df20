"""The watch: first sightings, changes, departures; absent and unavailable are different things."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from millcert.errors import ConfigError
from millcert.guard import Answer, Presence
from millcert.guard.address import Address, parse_address
from millcert.guard.watch import Outcome, Sightings, StateError, parse_sightings, read_sightings, watch, watched
from millcert.lock.namespaces import Namespaces
from millcert.names import NormalizedName, look_alike_key, normalize

WOOTZ, ALIKE = normalize("wootz"), normalize("w00tz")
NAMESPACES = Namespaces("pypi", {WOOTZ: "ours"}, {"wootz-": "ours"})
INDEXES = {"pypi": [parse_address("https://public.example/simple/")]}
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NAMES = {WOOTZ: WOOTZ, ALIKE: WOOTZ}


def looked(answers: Mapping[NormalizedName, Answer], before: Sightings | None = None, now: datetime = NOW) -> Outcome:
    def ask(address: Address, name: NormalizedName) -> Answer:
        assert address.host == "public.example"
        return answers.get(name, Answer(Presence.ABSENT))

    return watch(NAMES, INDEXES, ask, before or Sightings(), now)


def present(*versions: str) -> Answer:
    return Answer(Presence.PRESENT, versions)


def test_a_newcomer_is_new_once_and_then_known() -> None:
    first = looked({ALIKE: present("1.0")})
    (newcomer,) = first.newcomers
    assert (newcomer.index, newcomer.name, newcomer.resembles) == ("pypi", ALIKE, WOOTZ)
    assert newcomer.first_seen == "2026-11-23T12:00:00+00:00"
    second = looked({ALIKE: present("1.0")}, first.sightings, NOW + timedelta(days=1))
    assert (second.newcomers, second.changed, [item.name for item in second.known]) == ((), (), [ALIKE])
    assert second.known[0].first_seen == newcomer.first_seen


def test_a_known_name_with_a_new_version_has_changed() -> None:
    first = looked({WOOTZ: present("0.0.0")})
    second = looked({WOOTZ: present("0.0.0", "99.0")}, first.sightings)
    assert [item.versions for item in second.changed] == [("0.0.0", "99.0")]


def test_a_name_that_left_and_came_back_is_new_again() -> None:
    first = looked({ALIKE: present("1.0")})
    second = looked({}, first.sightings)
    assert [item.name for item in second.gone] == [ALIKE]
    third = looked({ALIKE: present("1.0")}, second.sightings)
    assert [item.name for item in third.newcomers] == [ALIKE]


def test_an_index_without_an_answer_neither_clears_nor_adds() -> None:
    first = looked({ALIKE: present("1.0")})
    silent = Answer(Presence.UNAVAILABLE, reason="503")
    second = looked({ALIKE: silent, WOOTZ: silent}, first.sightings)
    assert second.unavailable == {("pypi", ALIKE): "503", ("pypi", WOOTZ): "503"}
    assert (second.newcomers, second.known, second.gone) == ((), (), ())
    assert second.sightings == first.sightings


def test_the_state_survives_a_round_trip(tmp_path: Path) -> None:
    sightings = looked({ALIKE: present("1.0", "2.0"), WOOTZ: present()}).sightings
    path = tmp_path / "deep" / "state.json"
    assert read_sightings(path) == Sightings()
    sightings.write(path)
    assert read_sightings(path) == sightings
    sightings.write(path)
    assert [item.name for item in path.parent.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b"\xff", b'{"version": 2, "sightings": []}', b'{"version": 1, "sightings": [{}]}',
     b"[" * 100_000,
     b'{"version": 1, "sightings": [{"index": "a", "name": "/", "resembles": "b", "first_seen": "", "versions": []}]}',
     b'{"version": 1, "sightings": 3}', b'{"version": 1, "sightings": ["a"]}'],
)  # fmt: skip
def test_a_state_that_is_none(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(StateError):
        parse_sightings(data)
    (tmp_path / "state").write_bytes(data)
    with pytest.raises(StateError, match="not a file of sightings") as caught:
        read_sightings(tmp_path / "state")
    assert caught.value.evidence["file"] == str(tmp_path / "state")


def test_what_is_watched() -> None:
    names = watched(NAMESPACES, ["Wootz_Kernels"], 20)
    assert names[WOOTZ] == WOOTZ
    assert names[normalize("wootz-kernels")] == "wootz-kernels"
    assert names[ALIKE] == WOOTZ
    assert all(look_alike_key(name) == look_alike_key(owned) for name, owned in names.items())
    assert len(names) <= 2 * 21
    with pytest.raises(ConfigError):
        watched(NAMESPACES, ["numpy"], 0)

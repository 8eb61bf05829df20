"""The rule that nothing falls through, tried with every combination of answers that indexes can give."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millcert.errors import ConfigError, ConfusionError
from millcert.guard import Answer, HomeUnavailableError, NameAbsentError, Presence, ResolverPolicy
from millcert.guard.candidates import look_alikes
from millcert.lock.namespaces import Namespaces
from millcert.model import Digest, digest_of
from millcert.names import NormalizedName, look_alike_key, normalize

UPSTREAM = "pypi"
INDEXES = ("pypi", "ours", "theirs", "mirror")
NAMESPACES = Namespaces(
    UPSTREAM,
    {normalize("wootz"): "ours", normalize("torchtriton"): "ours", normalize("tool"): "theirs"},
    {"wootz-": "ours", "tool-": "theirs"},
)
POLICY = ResolverPolicy(NAMESPACES)
PRESENT, ABSENT, UNAVAILABLE = Presence

versions = st.lists(st.sampled_from(["0.1", "1.0", "2.0.dev20261123", "99.0", "1!0"]), max_size=4).map(tuple)
answers = st.builds(Answer, st.sampled_from(Presence), versions)
every_answer = st.dictionaries(st.sampled_from(INDEXES), answers)
parts = st.text("abcz0189", min_size=1, max_size=6)
owned_names = st.one_of(
    st.sampled_from(sorted(NAMESPACES.owned)),
    st.builds(lambda prefix, rest: normalize(prefix + rest), st.sampled_from(sorted(NAMESPACES.prefixes)), parts),
)
other_names = st.sampled_from([normalize(name) for name in ("numpy", "requests", "woot", "toolbox")])


def test_the_whole_table_of_answers() -> None:
    """Three indexes, three answers (or none) each: 64 rows for an owned name, each with the one right outcome."""
    name = normalize("wootz-kernels")
    for row in itertools.product([*Presence, None], repeat=3):
        given_answers = {
            index: Answer(presence, ("99.0",)) for index, presence in zip(INDEXES, row, strict=False) if presence
        }
        home = row[INDEXES.index("ours")]
        if home is PRESENT:
            decision = POLICY.decide(name, given_answers)
            assert (decision.index, decision.owned) == ("ours", True)
            assert set(decision.strangers) == {
                index for index, answer in given_answers.items() if answer.presence is PRESENT and index != "ours"
            }
            continue
        with pytest.raises(NameAbsentError if home is ABSENT else HomeUnavailableError) as caught:
            POLICY.decide(name, given_answers)
        assert caught.value.evidence["index"] == "ours"
        assert caught.value.exit_code == 15
        for index in given_answers.keys() - {"ours"}:
            assert index in caught.value.evidence["elsewhere"]


@given(owned_names, every_answer)
def test_an_owned_name_never_comes_from_an_index_that_does_not_own_it(
    name: NormalizedName, given_answers: dict[str, Answer]
) -> None:
    owner = "theirs" if name.startswith("tool") else "ours"
    try:
        decision = POLICY.decide(name, given_answers)
    except ConfusionError:
        assert given_answers.get(owner, Answer(UNAVAILABLE)).presence is not PRESENT
    else:
        assert decision.index == owner
        assert decision.versions == given_answers[owner].versions  # a stranger's version is never among them
        assert given_answers[owner].presence is PRESENT


@given(other_names, every_answer)
def test_a_name_that_is_not_owned_comes_from_upstream_or_nowhere(
    name: NormalizedName, given_answers: dict[str, Answer]
) -> None:
    try:
        decision = POLICY.decide(name, given_answers)
    except ConfusionError:
        assert given_answers.get(UPSTREAM, Answer(UNAVAILABLE)).presence is not PRESENT
    else:
        assert (decision.index, decision.owned) == (UPSTREAM, False)


@given(owned_names, every_answer, st.sampled_from(INDEXES), versions)
def test_what_strangers_answer_changes_nothing(
    name: NormalizedName, given_answers: dict[str, Answer], stranger: str, offered: tuple[str, ...]
) -> None:
    owner = "theirs" if name.startswith("tool") else "ours"
    if stranger == owner:
        return
    before = _outcome(name, given_answers)
    after = _outcome(name, {**given_answers, stranger: Answer(PRESENT, (*offered, "1000.0"))})
    assert before == after


def _outcome(name: NormalizedName, given_answers: dict[str, Answer]) -> object:
    try:
        decision = POLICY.decide(name, given_answers)
    except ConfusionError as error:
        return type(error)
    return decision.index, decision.versions


@given(st.sampled_from(sorted(NAMESPACES.owned)), st.data(), every_answer)
def test_a_look_alike_is_refused_whatever_is_answered(
    name: NormalizedName, data: st.DataObject, given_answers: dict[str, Answer]
) -> None:
    other = data.draw(st.sampled_from(look_alikes(name)))
    if other.startswith(tuple(NAMESPACES.prefixes)):  # a separator can make an owned prefix: then it is ours
        return
    with pytest.raises(ConfusionError, match="looks like"):
        POLICY.decide(other, given_answers)


@pytest.mark.parametrize("name", ["w00tz-kernels", "t001-kit", "too1-kit", "W0OTZ.kernels"])
def test_a_look_alike_of_an_owned_prefix_is_refused(name: str) -> None:
    with pytest.raises(ConfusionError, match="looks like"):
        POLICY.decide(normalize(name), {UPSTREAM: Answer(PRESENT)})


@pytest.mark.parametrize("name", ["woot", "wootzy", "toolbox", "tools", "torch-triton-x"])
def test_a_name_that_only_begins_alike_is_no_look_alike(name: str) -> None:
    assert POLICY.decide(normalize(name), {UPSTREAM: Answer(PRESENT)}).index == UPSTREAM


# -- files

digests = st.binary(max_size=2).map(digest_of)


@given(owned_names, st.sampled_from(INDEXES), digests, st.none() | st.sets(digests, max_size=3))
def test_a_file_of_an_owned_name_is_admitted_from_its_index_alone(
    name: NormalizedName, index: str, digest: Digest, locked: set[Digest] | None
) -> None:
    owner = "theirs" if name.startswith("tool") else "ours"
    allowed = index == owner and (locked is None or digest in locked)
    assert _admitted(name, index, digest, locked) == allowed


@given(other_names, st.sampled_from(INDEXES), digests, st.none() | st.sets(digests, max_size=3))
def test_any_other_file_is_admitted_by_locked_hash_alone(
    name: NormalizedName, index: str, digest: Digest, locked: set[Digest] | None
) -> None:
    assert _admitted(name, index, digest, locked) == (locked is not None and digest in locked)


def _admitted(name: NormalizedName, index: str, digest: Digest, locked: set[Digest] | None) -> bool:
    try:
        POLICY.admit(name, index=index, digest=digest, locked=locked)
    except ConfusionError as error:
        assert error.fix
        return False
    return True


# -- look-alikes

names = st.text("abl1i0o-", min_size=1, max_size=12)


@given(names, st.integers(0, 100))
def test_look_alikes_share_the_key_and_nothing_else(text: str, limit: int) -> None:
    try:
        name = normalize(text)
    except ConfigError:
        return
    found = look_alikes(name, limit)
    assert len(found) <= limit
    assert len(set(found)) == len(found)
    assert name not in found
    for other in found:
        assert normalize(other) == other
        assert look_alike_key(other) == look_alike_key(name)
    assert found == look_alikes(name, limit)


@given(st.text("l10o", min_size=1, max_size=3))
def test_few_look_alikes_are_all_found(text: str) -> None:
    """Against brute force over every name of up to twice the length."""
    name = normalize(text)
    expected = {other for other in _alike(look_alike_key(name)) if len(other) < 2 * len(name)} - {name}
    assert set(look_alikes(name, 10_000)) == expected


def _alike(key: str) -> set[str]:
    return _BY_KEY.get(key, set())


_BY_KEY: dict[str, set[str]] = {}
for _size in range(1, 6):
    for _letters in itertools.product("l1i0o-", repeat=_size):
        if "-" not in (_letters[0], _letters[-1]) and "--" not in (_name := "".join(_letters)):
            _BY_KEY.setdefault(look_alike_key(_name), set()).add(_name)

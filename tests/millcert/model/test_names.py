"""Project names: PEP 503 normalisation against packaging, and PyPI's look-alike rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from millcert.errors import ConfigError
from millcert.names import look_alike_key, normalize

NAMES = st.from_regex(r"\A[A-Za-z0-9]([A-Za-z0-9._-]{0,12}[A-Za-z0-9])?\Z")


@given(NAMES)
def test_normalisation_is_the_one_of_packaging(name: str) -> None:
    assert normalize(name) == canonicalize_name(name)


@pytest.mark.parametrize("name", ["", "-wootz", "wootz-", "wo otz", "wootz\n", "wöotz", "wootz/../x", "wootz==1"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="not a valid project name"):
        normalize(name)


@pytest.mark.parametrize("other", ["w00tz", "Wootz", "WOO-TZ", "w.o_o-t.z", "wo0tz"])
def test_look_alikes_of_an_owned_name_share_its_key(other: str) -> None:
    assert look_alike_key(other) == look_alike_key("wootz")


@pytest.mark.parametrize("other", ["mi11cert", "millcert", "MlLLCERT", "mlllcert", "m-i-l-l-c-e-r-t"])
def test_one_i_and_l_look_alike(other: str) -> None:
    assert look_alike_key(other) == look_alike_key("millcert")


@pytest.mark.parametrize("other", ["wootx", "wotz", "woots"])
def test_other_names_do_not_share_the_key(other: str) -> None:
    assert look_alike_key(other) != look_alike_key("wootz")

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim2real.config import build, to_dict
from sim2real.search_types import SearchSpec, Token
from tests.search_toys import SKIPS, TWO


def test_an_architecture_is_read_by_the_names_of_its_choices() -> None:
    assert TWO.decode((1, 2)) == {"first": "b", "second": "z"}
    labels = SKIPS.decode((1, 0, 0, 1, 1, 2))
    assert (labels["skip_0"], labels["skip_1"], labels["skip_2"]) == ((), ("skip_0",), ("skip_1",))
    assert SKIPS.decode((0, 0, 0, 0, 0, 3))["skip_2"] == ("skip_0", "skip_1")


def test_how_many_architectures_there_are() -> None:
    assert TWO.size == 2 * 3
    assert SKIPS.size == 2**3 * 1 * 2 * 4


@given(st.integers(0, 2**31))
def test_names_and_numbers_say_the_same(seed: int) -> None:
    architecture = SKIPS.draw(np.random.default_rng(seed))
    assert SKIPS.encode(SKIPS.decode(architecture)) == architecture


def test_a_space_is_written_and_read_as_plain_data() -> None:
    assert build(SearchSpec, to_dict(SKIPS)) == SKIPS


def test_narrowing_keeps_the_tokens_and_drops_choices() -> None:
    narrow = TWO.narrowed({"second": ["z", "x"]})
    assert narrow.size == 4
    assert narrow.decode((0, 0)) == {"first": "a", "second": "z"}


@pytest.mark.parametrize(
    ("only", "message"),
    [({"secnd": ["x"]}, "Did you mean 'second'"), ({"second": ["w"]}, "choice of second"), ({"first": []}, "nothing")],
)
def test_narrowing_to_what_is_not_there_says_so(only: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TWO.narrowed(only)


@pytest.mark.parametrize("architecture", [(0,), (0, 3), (-1, 0)])
def test_numbers_of_another_space_are_refused(architecture: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two: "):
        TWO.decode(architecture)


def test_an_anchor_connects_to_the_anchors_before_it_and_nothing_else() -> None:
    with pytest.raises(ValueError, match=r"anchor b: .* \['a'\]"):
        SearchSpec("wrong", (Token("a", (), anchor=True), Token("b", ("c",), anchor=True)))

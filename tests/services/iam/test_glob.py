"""Patterns against the obvious way to match them."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.services.iam.glob import Globs
from tests.services.iam import reference

PATTERNS = st.text(st.sampled_from("ab*?"), max_size=9)
TEXTS = st.text(st.sampled_from("ab"), max_size=9)


def _nothing(key: str) -> None:
    return None


@settings(max_examples=400)
@given(st.lists(PATTERNS, max_size=3), TEXTS)
def test_a_pattern_matches_what_trying_everything_matches(patterns: list[str], text: str) -> None:
    wanted = any(reference.glob(pattern, text) for pattern in patterns)
    assert Globs(patterns).match(text, _nothing) is wanted
    assert Globs([pattern.upper() for pattern in patterns], ignore_case=True).match(text.title(), _nothing) is wanted
    assert Globs(patterns, ignore_case=True).match_folded(text) is wanted


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from(["a", "b", "*", "?", "${x:y}", "${x:z, 'b'}", "${*}", "${?}"]), min_size=1, max_size=6).map("".join),
    st.lists(st.tuples(TEXTS, st.dictionaries(st.sampled_from(["x:y", "x:z"]), st.text(st.sampled_from("ab*?"), max_size=3))), max_size=4),
)
def test_one_pattern_with_variables_is_asked_again_and_again(pattern: str, asked: list[tuple[str, dict[str, str]]]) -> None:
    globs = Globs([pattern], variables=True)
    for text, values in asked:
        filled = reference.filled(pattern, {key: [value] for key, value in values.items()}, "2012-10-17")
        wanted = filled is not None and reference.like(filled, text)
        assert globs.match(text, values.get) is wanted, json.dumps(values)

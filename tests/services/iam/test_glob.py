"""Patterns against the obvious way to match them."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.services.iam.glob import Globs, Template
from longshore.services.iam.simulation import context_keys
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


MANY_BLANKS = ["{blanks},'", "{blanks},'x", "a{blanks}b,'x'y", "{blanks}", "a,{blanks}'x", "{blanks}a{blanks},{blanks}'{blanks}"]


@pytest.mark.parametrize("inside", MANY_BLANKS)
def test_a_variable_with_very_many_blanks_is_read_as_quickly_as_any(inside: str) -> None:
    written = "${" + inside.format(blanks=" " * 30_000) + "}"
    began = time.perf_counter()
    assert Template(written, variables=True).literal(lambda key: None) is None
    context_keys([json.dumps({"Statement": {"Resource": written}}), json.dumps({"Statement": {"Resource": written[:-1]}})])
    assert time.perf_counter() - began < 1.0


@pytest.mark.parametrize(
    ("written", "given", "literal"),
    [
        ("${ aws:username , 'nobody' }", None, "nobody"),
        ("${aws:username,'nobody'}", "ann", "ann"),
        ("${aws:username, ''}", None, ""),
        ("${aws:username, 'it''s'}", None, None),
        ("${aws:username, nobody}", None, None),
        ("${aws:username, '}", None, None),
    ],
)
def test_a_variable_may_say_what_stands_for_nothing(written: str, given: str | None, literal: str | None) -> None:
    assert Template(written, variables=True).literal(lambda key: given if key == "aws:username" else None) == literal

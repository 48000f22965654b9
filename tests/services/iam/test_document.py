"""Where things stand in a policy document, and what is refused with the place."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.services.iam.checks import check_policy
from longshore.services.iam.document import Place, Places, Position, Unreadable, find, shown_path, statement_places
from longshore.services.iam.policy import MalformedPolicy, compile_policy

GOOD = """{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"},
    {
      "Effect": "Deny",
      "Action": ["ecs:RunTask", "ecs:StopTask"],
      "Resource": "*",
      "Condition": {"StringEquals": {"aws:username": "ann"}}
    }
  ]
}"""

#: (a piece of GOOD, what stands there instead, how the refusal ends)
WRONG: list[tuple[str, str, str]] = [
    ('"2012-10-17"', '"2012-10-18"', "Syntax errors in policy. (line 2, column 3 at Version)"),
    ('"ecs:StopTask"', '"StopTask"', "iam, sdb, ec2, etc. (line 7, column 33 at Statement[1].Action[1])"),
    ('"Deny"', '"deny"', "Syntax errors in policy. (line 6, column 7 at Statement[1].Effect)"),
    ("StringEquals", "StringEqual", "Invalid Condition type : StringEqual. (line 9, column 21 at Statement[1].Condition.StringEqual)"),
    ("aws:username", "username", "ec2, etc. (line 9, column 38 at Statement[1].Condition.StringEquals.username)"),
    ('"ann"', "null", "Syntax errors in policy. (line 9, column 38 at Statement[1].Condition.StringEquals.aws:username)"),
    ('"Effect": "Deny",', "", "Syntax errors in policy. (line 5, column 5 at Statement[1])"),
    ('"Effect": "Deny"', '"Effect": "Deny", "Effect": "Allow"', "Syntax errors in policy. (line 6, column 25 at Statement[1].Effect)"),
    ('"aws:username": "ann"', '"aws:username": "ann", "aws:username": "bob"', "StringEquals.aws:username)"),
    ('"ann"', '"a\\u0000n"', "Syntax errors in policy. (line 9, column 54 at Statement[1].Condition.StringEquals.aws:username)"),
    ('"ann"', '"a\\ud800n"', "This policy contains invalid Json (line 9, column 54 at Statement[1].Condition.StringEquals.aws:username)"),
    ('"ann"', "[" * 20 + "]" * 20, f"(line 9, column 65 at Statement[1].Condition.StringEquals.aws:username{'[0]' * 11})"),
    ('"ann"}', '"ann",}', "This policy contains invalid Json (line 9, column 60 at Statement[1].Condition.StringEquals)"),
    ('"ann"', "'ann'", "This policy contains invalid Json (line 9, column 54 at Statement[1].Condition.StringEquals.aws:username)"),
    ("  ]\n}", "  ]\n} {}", "This policy contains invalid Json (line 12, column 3)"),
    ("  ]\n}", "  ]\n", "This policy contains invalid Json (line 12, column 1)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("piece", "instead", "end"), WRONG, ids=[f"{number}-{instead[:24]}" for number, (_, instead, _) in enumerate(WRONG)]
)
def test_a_refusal_says_where(piece: str, instead: str, end: str) -> None:
    check_policy(GOOD)
    with pytest.raises(MalformedPolicy) as refused:
        check_policy(GOOD.replace(piece, instead, 1))
    assert str(refused.value).endswith(end)


def test_statements_know_where_they_begin_and_end() -> None:
    assert compile_policy(GOOD).places == (Place(Position(4, 5), Position(4, 59)), Place(Position(5, 5), Position(10, 5)))
    alone = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'
    assert compile_policy(alone).places == (Place(Position(1, 40), Position(1, 90)),)
    assert statement_places("{") == statement_places("[]") == ()


def test_what_stands_twice_is_refused_from_who_brings_it_and_heard_where_it_is_kept() -> None:
    twice = GOOD.replace('"Effect": "Deny"', '"Effect": "Deny", "Effect": "Allow"')
    with pytest.raises(MalformedPolicy):
        check_policy(twice)
    assert [statement.allows for statement in compile_policy(twice).statements] == [True, True]


def test_a_path_is_shown_as_far_as_there_is_room() -> None:
    assert shown_path(("Statement", 2, "Condition", "StringEquals")) == "Statement[2].Condition.StringEquals"
    assert len(shown_path(("Statement", "x" * 1000))) == 200


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for step, one in inner for found in paths(one, (*path, step)))]


@settings(max_examples=100)
@given(VALUES, st.sampled_from([None, 0, 1, "\t"]), st.booleans(), st.randoms(use_true_random=False))
def test_whatever_is_json_is_read_and_every_part_is_found_where_it_stands(
    value: Any, indent: int | str | None, ascii_only: bool, choose: random.Random
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    lines = text.split("\n")
    places = Places(text)
    path = choose.choice(paths(value))
    found = places.find(path)
    assert found.path == path
    line, column = found.position
    rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
    if path and isinstance(path[-1], str):
        assert json.JSONDecoder().raw_decode(rest)[0] == path[-1]
    else:
        wanted = value
        for step in path:
            wanted = wanted[step]
        assert json.JSONDecoder().raw_decode(rest)[0] == wanted


@settings(max_examples=200)
@given(st.text(st.sampled_from('{}[]",:\\ntrue0.-e1 \n')))
def test_what_is_taken_is_json_for_everybody(text: str) -> None:
    try:
        Places(text)
    except Unreadable as error:
        assert error.position.line >= 1 and error.position.column >= 1
        assert find(text, ("Statement",)).position == error.position
    else:
        msgspec.json.decode(text)

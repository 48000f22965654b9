from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.aws.errors import AwsError
from longshore.aws.pagination import page, seal, unseal

SECRET = b"secret"
QUESTION = ("ListTasks", "000000000000", "us-east-1", {"family": None})


class InvalidToken(AwsError):
    """Invalid token."""


def opened(token: str | None, question: tuple[object, ...] = QUESTION, secret: bytes = SECRET) -> str | None:
    return unseal(secret, question, token, InvalidToken())


@given(st.text(st.characters(codec="utf-8"), max_size=50))
def test_a_token_leads_back_to_its_key(key: str) -> None:
    assert opened(seal(SECRET, QUESTION, key)) == key


@pytest.mark.parametrize("token", [None, ""])
def test_without_a_token_the_listing_begins_at_the_start(token: str | None) -> None:
    assert opened(token) is None


def test_a_token_of_another_question_or_installation_is_refused() -> None:
    token = seal(SECRET, QUESTION, "task/1")
    for question, secret in [(("ListServices", *QUESTION[1:]), SECRET), ((*QUESTION, ""), SECRET), (QUESTION, b"other")]:
        with pytest.raises(InvalidToken):
            opened(token, question, secret)


def test_parts_of_a_question_do_not_run_together() -> None:
    with pytest.raises(InvalidToken):
        opened(seal(SECRET, ("a", "bc"), "key"), ("ab", "c"))


@pytest.mark.parametrize("token", ["x", "AAAA", "!!!!", "ä", "=", "A" * 5000, "a b", "\x00", "null"])
def test_what_was_never_handed_out_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        opened(token)


@given(st.data())
def test_a_changed_token_is_refused(data: st.DataObject) -> None:
    token = seal(SECRET, QUESTION, "cluster/default/task/1")
    at = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.sampled_from("ABCabc019-_=+/ \n").filter(lambda found: found != token[at]))
    with pytest.raises(InvalidToken):
        opened(token[:at] + character + token[at + 1 :])


@given(st.lists(st.integers(0, 3000), unique=True).map(sorted), st.integers(1, 50), st.sampled_from([None, 2, 1000]))
def test_pages_joined_are_the_listing(numbers: list[int], limit: int, divisor: int | None) -> None:
    listing = [f"{number:04}" for number in numbers]

    def read(after: str | None, most: int) -> list[str]:
        return [key for key in listing if after is None or key > after][:most]

    def keep(key: str) -> bool:
        return divisor is None or int(key) % divisor == 0

    pages: list[list[str]] = []
    after: str | None = None
    while True:
        items, after = page(read, lambda key: key, after=after, limit=limit, keep=keep if divisor else None)
        pages.append(items)
        if after is None:
            break
    assert [key for items in pages for key in items] == [key for key in listing if keep(key)]
    assert all(len(items) == limit for items in pages[:-1])
    assert pages[-1] or len(pages) == 1


@given(st.lists(st.integers(0, 3000), unique=True).map(sorted), st.integers(1, 50), st.integers(0, 5000))
def test_a_page_is_no_larger_than_it_may_be_unless_one_item_is(numbers: list[int], limit: int, most: int) -> None:
    found: list[int] = []
    after: str | None = None
    while True:
        items, after = page(
            lambda after, limit: [n for n in numbers if after is None or n > int(after)][:limit],
            str,
            after=after,
            limit=limit,
            size=lambda number: number,
            most_size=most,
        )
        assert len(items) == 1 or sum(items) <= most
        assert len(items) <= limit
        found += items
        if after is None:
            break
    assert found == numbers

"""The page of operations is what the code registers, and its notes speak of operations that exist."""

from __future__ import annotations

import pytest

from tools import operations_page
from tools.operations_page import PARTIAL, UNSERVED, Coverage, NoReason, UnknownNote, coverage, page


def test_the_page_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert operations_page.main(["--check"]) == 0, capsys.readouterr().out


def test_a_note_about_an_operation_that_is_not_served_is_an_error() -> None:
    with pytest.raises(UnknownNote, match="sts: AssumeRoot"):
        coverage("sts", {"AssumeRoot": "no roles"})


def test_a_reason_for_not_serving_what_is_served_is_an_error() -> None:
    with pytest.raises(UnknownNote, match="sts: GetCallerIdentity"):
        coverage("sts", {}, {"GetCallerIdentity": "nobody calls"})


def test_every_note_is_a_phrase_that_fits_a_table() -> None:
    notes = [note for table in (PARTIAL, UNSERVED) for of_api in table.values() for note in of_api.values()]
    assert all(note and "|" not in note and "\n" not in note and not note.endswith(".") for note in notes)


def test_an_operation_is_served_or_partial_or_not_yet() -> None:
    known = frozenset({"A", "B", "C", "D"})
    text = page([Coverage("sts", known, frozenset({"A", "B"}), {"B": "without colours"}, reasons={"D": "nobody dances"})])
    assert "| [AWS STS](#aws-sts) | 1 | 1 | 2 |" in text
    assert "| D | not served | nobody dances |" in text
    assert "| A | served | |" in text
    assert "| B | partial | without colours |" in text
    assert "Not yet (1): C." in text


@pytest.mark.parametrize("api", sorted(operations_page.REASONED))
def test_nothing_of_what_says_who_may_is_left_out_without_a_reason(api: str) -> None:
    text = page([coverage(api, PARTIAL.get(api, {}), UNSERVED[api])])
    assert "Not yet" not in text
    name, *rest = sorted(UNSERVED[api])
    with pytest.raises(NoReason, match=f"{api}: {name}"):
        coverage(api, PARTIAL.get(api, {}), {each: UNSERVED[api][each] for each in rest})

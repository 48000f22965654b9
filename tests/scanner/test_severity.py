"""CVSS vectors scored as FIRST's own examples are, and words that databases use."""

from __future__ import annotations

import pytest

from longshore.scanner.severity import base_score, of_score, of_word, version_of


@pytest.mark.parametrize(
    ("vector", "score", "rating"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8, "CRITICAL"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0, "CRITICAL"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1, "MEDIUM"),
        ("CVSS:3.0/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4, "MEDIUM"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 7.5, "HIGH"),
        ("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 3.1, "LOW"),
        ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 7.8, "HIGH"),
        ("CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 6.8, "MEDIUM"),
        ("CVSS:3.1/AV:A/AC:L/PR:N/UI:N/S:C/C:H/I:N/A:H", 9.3, "CRITICAL"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0, "INFORMATIONAL"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:P/RL:O", 9.8, "CRITICAL"),
        ("AV:N/AC:L/Au:N/C:P/I:P/A:P", 7.5, "HIGH"),
        ("(AV:N/AC:M/Au:N/C:N/I:P/A:N)", 4.3, "MEDIUM"),
        ("AV:L/AC:H/Au:N/C:C/I:C/A:C", 6.2, "MEDIUM"),
        ("AV:N/AC:L/Au:N/C:N/I:N/A:N", 0.0, "INFORMATIONAL"),
    ],
)
def test_base_scores(vector: str, score: float, rating: str) -> None:
    assert base_score(vector) == score
    assert of_score(score) == rating


@pytest.mark.parametrize(
    "vector", ["", "/", "CVSS:3.1", "CVSS:3.1/AV:X", "CVSS:3.1/AV:N/AC:L", "CVSS:4.0/AV:N/AC:L/AT:N", "CVSS:9/AV:N", "::::"]
)
def test_what_is_no_vector_has_no_score(vector: str) -> None:
    assert base_score(vector) is None


@pytest.mark.parametrize(
    ("word", "rating"),
    [
        ("Critical", "CRITICAL"), ("IMPORTANT", "HIGH"), ("moderate", "MEDIUM"), ("low", "LOW"), ("unimportant", "INFORMATIONAL"),
        ("Negligible", "INFORMATIONAL"), ("not yet assigned", "UNDEFINED"), ("", "UNDEFINED"), (None, "UNDEFINED"), (7, "UNDEFINED"),
    ],
)  # fmt: skip
def test_words(word: object, rating: str) -> None:
    assert of_word(word) == rating


def test_versions_of_vectors() -> None:
    assert [version_of(vector) for vector in ("CVSS:3.1/AV:N", "CVSS:4.0/x", "AV:N/AC:L")] == ["3.1", "4.0", "2.0"]

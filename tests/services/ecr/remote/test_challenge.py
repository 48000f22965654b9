"""WWW-Authenticate headers as registries send them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.services.ecr.remote.challenge import challenges


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            ['Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"'],
            [("bearer", {"realm": "https://auth.docker.io/token", "service": "registry.docker.io", "scope": "repository:a/b:pull,push"})],
        ),
        (['Basic realm="https://x/",service="ecr.amazonaws.com"'], [("basic", {"realm": "https://x/", "service": "ecr.amazonaws.com"})]),
        (["BASIC realm=x"], [("basic", {"realm": "x"})]),
        (["Basic"], [("basic", {})]),
        (['Negotiate, Basic realm="x"'], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (
            ['Bearer realm="a", error="invalid_token"', "Basic realm=b"],
            [("bearer", {"realm": "a", "error": "invalid_token"}), ("basic", {"realm": "b"})],
        ),
        (['Bearer realm="a \\"quoted\\" word"'], [("bearer", {"realm": 'a "quoted" word'})]),
        ([""], []),
        ([], []),
    ],
)
def test_schemes_and_parameters_are_read(headers: list[str], expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(each.scheme, dict(each.parameters)) for each in challenges(headers)] == expected


@given(st.text(max_size=200))
def test_whatever_is_sent_is_read_without_an_error(header: str) -> None:
    challenges([header])

"""A refusal as the command shows it."""

from __future__ import annotations

import json

from longshore.cli.client import _refusal
from longshore.cli.query import refusal_in


def test_people_are_told_the_words_of_a_refusal_and_not_what_is_sealed_in_it() -> None:
    words = "User: arn:aws:iam::000000000000:user/ann is not authorized to perform: ecs:ListClusters on resource: *"
    body = {"__type": "AccessDeniedException", "message": f"{words}. Encoded authorization failure message: r-e0C5q"}
    assert _refusal(400, json.dumps(body).encode()) == f"AccessDeniedException {words}"
    assert _refusal(502, b"<html>") == "HTTP 502"
    told = f"<Error><Code>AccessDenied</Code><Message>{words}. Encoded authorization failure message: r-e0C5q</Message></Error>"
    assert refusal_in(f"<ErrorResponse>{told}</ErrorResponse>".encode()) == ("AccessDenied", words)

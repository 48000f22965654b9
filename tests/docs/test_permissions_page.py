"""The page on permissions: its policy stands, and its actions exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

from longshore.gateway.catalogue import served
from longshore.services.ecr.access.documents import checked_repository_policy

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "permissions.md").read_text()


def test_the_policy_shown_would_be_taken() -> None:
    (shown,) = re.findall(r"--policy-text '(.*?)'", PAGE, re.DOTALL)
    assert json.loads(checked_repository_policy(shown))["Statement"][0]["Principal"] == {"AWS": "222222222222"}


def test_every_action_named_is_one_of_ecr() -> None:
    named = set(re.findall(r"`?ecr:([A-Z]\w+)", PAGE)) - {"ResourceTag"}
    assert len(named) > 10
    assert named <= served("ecr").known

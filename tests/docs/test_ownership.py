"""ARCHITECTURE.md says of every kind of resource who writes it."""

from __future__ import annotations

import re
from pathlib import Path

from longshore.resources import KINDS

PAGE = Path(__file__).resolve().parents[2] / "ARCHITECTURE.md"


def test_every_kind_of_resource_has_its_writers() -> None:
    table = PAGE.read_text().partition("## Who writes what")[2].partition("\n## ")[0]
    fields = "\n".join(line.split(" | ")[0] for line in table.splitlines())
    named = set(re.findall(r"`(?:\w+\.)?([A-Z]\w+)", fields))
    assert {kind.type.__name__ for kind in KINDS} - named == set()

"""Everything that is fuzzed, by name; what needs a whole installation is made when it is first asked for."""

from __future__ import annotations

from functools import cache

from tests.fuzz.doors import doors
from tests.fuzz.engine import Target
from tests.fuzz.languages import LANGUAGES

TARGETS = frozenset({target.name for target in LANGUAGES} | {"api", "signature", "registry"})


@cache
def made(name: str) -> Target:
    known = {target.name: target for target in LANGUAGES}
    return known[name] if name in known else _doors()[name]


@cache
def _doors() -> dict[str, Target]:
    return {target.name: target for target in doors()}

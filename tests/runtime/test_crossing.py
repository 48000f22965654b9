"""Rules that let bridges reach each other, in a firewall that exists in memory only."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from longshore.runtime.crossing import allow, forbid

POOL = "10.192.0.0/11"


class Firewall:
    def __init__(self, *, refuses: str = "") -> None:
        self.rules: list[tuple[str, ...]] = []
        self._refuses = refuses

    def __call__(self, arguments: Sequence[str]) -> int:
        (_, table, verb, chain, *rule) = arguments
        if chain == self._refuses:
            return 3
        wanted = (table, chain, *rule)
        if verb == "-I":
            self.rules.insert(0, wanted)
        elif wanted not in self.rules:
            return 1
        elif verb == "-D":
            self.rules.remove(wanted)
        return 0


def test_the_rules_are_put_there_once_and_taken_away() -> None:
    firewall = Firewall()
    assert allow(POOL, firewall) and allow(POOL, firewall)
    between = ("-s", POOL, "-d", POOL, "-j", "ACCEPT")
    assert sorted(firewall.rules) == [("filter", "DOCKER-USER", *between), ("nat", "POSTROUTING", *between)]
    firewall.rules += firewall.rules
    forbid(POOL, firewall)
    forbid(POOL, firewall)
    assert firewall.rules == []


def test_what_the_engine_puts_above_them_is_overtaken() -> None:
    firewall = Firewall()
    allow(POOL, firewall)
    engines = ("nat", "POSTROUTING", "-s", "10.193.1.0/24", "-j", "MASQUERADE")
    firewall.rules.insert(0, engines)
    allow(POOL, firewall)
    assert firewall.rules.index(engines) > firewall.rules.index(("nat", "POSTROUTING", "-s", POOL, "-d", POOL, "-j", "ACCEPT"))


@pytest.mark.parametrize("chain", ["DOCKER-USER", "POSTROUTING"])
def test_a_firewall_that_refuses_is_told_of(chain: str) -> None:
    assert not allow(POOL, Firewall(refuses=chain))

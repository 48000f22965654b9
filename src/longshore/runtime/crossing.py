"""Bridges that reach each other: Docker Engine keeps the containers of one bridge from those of another.

Tasks with addresses of their own are on a bridge for each container instance, and on one machine several of these stand side by
side; in a VPC they would reach each other, from their own addresses. Two rules do that for a range of addresses: one in the chain that the
engine leaves to the machine's owner and asks before its own, and one that leaves what goes between them untranslated.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Sequence

log = logging.getLogger("longshore.runtime")

#: (arguments that name table and chain, the rule in it)
Rule = tuple[tuple[str, ...], tuple[str, ...]]
Run = Callable[[Sequence[str]], int]

_WAIT_S = 5


def rules(pool: str) -> tuple[Rule, ...]:
    between = ("-s", pool, "-d", pool, "-j", "ACCEPT")
    return ((("-t", "filter"), ("DOCKER-USER", *between)), (("-t", "nat"), ("POSTROUTING", *between)))


def allow(pool: str, run: Run | None = None) -> bool:
    """Whether the rules stand now; they are there once, however often this is called."""
    run = run or _iptables
    # for each bridge that is made the engine puts its own rule of translation on top, and ours has to be asked before it
    (between, untranslated) = rules(pool)
    _remove(untranslated, run)
    standing = _insert(untranslated, run)
    table, rule = between
    return (run((*table, "-C", *rule)) == 0 or _insert(between, run)) and standing


def forbid(pool: str, run: Run | None = None) -> None:
    """The rules are gone afterwards; nothing happens when they never were."""
    run = run or _iptables
    for rule in rules(pool):
        _remove(rule, run)


def _insert(rule: Rule, run: Run) -> bool:
    return run((*rule[0], "-I", *rule[1])) == 0


def _remove(rule: Rule, run: Run) -> None:
    """Two who began at the same moment may have put one there each."""
    while run((*rule[0], "-D", *rule[1])) == 0:
        continue


def _iptables(arguments: Sequence[str]) -> int:
    """The exit status; not 0 also where there is no such program, or it may not be used."""
    command = ("iptables", "-w", str(_WAIT_S), *arguments)
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=2 * _WAIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        log.info("iptables cannot be used: %s", error)
        return 1
    return done.returncode

"""Regular expressions in rules: those that AWS takes. Pure.

Its dialect is one that is matched without going back: look-around, back references, atomic groups, possessive quantifiers,
recursion, subroutines, comments and Unicode's classes are not in it. HAProxy's engine does go back, and gives up at a limit (an expression
that gets there does not match: `bounded` in balancer/words.py), so that one request costs milliseconds at the worst.
"""

from __future__ import annotations

import re

from longshore.services.elbv2.errors import Validation

_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_COMMENTS = re.compile(r"(?<!\\)\(\?\^?[a-zA-Z-]*x")
#: what Python takes and HAProxy does not, so that the rule would be left out
_PYTHONS = re.compile(r"\(\?[a-zA-Z-]*[auL]|\\[uU]")
_REFUSED = re.compile(r"\(\?(?:[=!>|#]|<[=!]|R\)|[+-]?\d+\)|&|P>|P=|\()|\(\*|\\(?:[1-9]|[pPgkKGXRC])|(?<!\\)[*+?}]\+")


def check_regex(regex: str, most_characters: int) -> None:
    """Raises Validation for what is too long, not in the dialect, or no regular expression."""
    if not regex:
        raise Validation("A regular expression cannot be empty")
    if len(regex) > most_characters:
        raise Validation(f"The regular expression '{regex}' cannot be longer than '{most_characters}' characters")
    if not _PRINTABLE.fullmatch(regex) or _REFUSED.search(regex) or _COMMENTS.search(regex) or _PYTHONS.search(regex):
        raise Validation(f"The regular expression '{regex}' is not supported")
    try:
        re.compile(regex)
    except (re.error, OverflowError, RecursionError):
        raise Validation(f"The regular expression '{regex}' is not valid") from None


def groups_of(regex: str) -> int:
    """How many groups it captures."""
    return re.compile(regex).groups

"""Rules that look at the path alone, or at the host alone, in a row: one look-up instead of a comparison for each of them.

HAProxy finds an exact key, or the longest that a text begins with, in a tree. Rules are tried in order of their priorities,
and not by length: so a key's value is the first of *all* rules that hold for whatever leads to this key, worked out beforehand.
What wins for a longer key counts what wins for every shorter one within it. Pure.

Which rules can be told like that: paths that are literal or end with their only `*`; hosts that are literal or begin with `*.`
and have no other wildcard. Any other rule ends the row, for rules after it must not be asked before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.render.bodies import Bodies
from longshore.balancer.words import argument, quoted

Field = Literal["path", "host"]

#: fewer rules than this are compared one by one
LEAST = 3
#: endings of host names are looked up once for each number of labels they have
_MOST_LABEL_COUNTS = 4
#: what can stand in a file of keys and values as it is
_KEY = re.compile(r"[\x21-\x7e]+")
_TOKEN = re.compile(r"\\[*?\\]|.", re.DOTALL)
UNLESS_CHOSEN = "if !{ var(txn.r) -m found }"


class Keys(msgspec.Struct, frozen=True):
    """What one rule asks for: any of these."""

    field: Field
    exact: frozenset[str] = frozenset()
    #: of paths: how they begin; of hosts: how they end, without the dot
    partial: frozenset[str] = frozenset()


class Row(msgspec.Struct):
    """Rules that can be looked up together, in order of their priorities."""

    field: Field
    #: (what it asks for, what `txn.r` then is)
    rules: list[tuple[Keys, str]] = []


def keys_of(conditions: Sequence[shapes.RuleCondition]) -> Keys | None:
    """None when a rule with these conditions cannot be looked up."""
    if len(conditions) != 1:
        return None
    match conditions[0]:
        case shapes.RuleCondition(path_pattern_config=shapes.PathPatternConditionConfig(values=values, regex_values=None)) if values:
            return _path_keys(values)
        case shapes.RuleCondition(host_header_config=shapes.HostHeaderConditionConfig(values=values, regex_values=None)) if values:
            return _host_keys(values)
    return None


def _path_keys(values: Iterable[str]) -> Keys | None:
    exact: set[str] = set()
    begins: set[str] = set()
    for value in values:
        tokens = _TOKEN.findall(value)
        is_begin = tokens[-1:] == ["*"]
        if is_begin:
            tokens.pop()
        text = "".join(token[-1] for token in tokens)
        if "*" in tokens or "?" in tokens or not _is_key(text):
            return None
        (begins if is_begin else exact).add(text)
    return Keys("path", frozenset(exact), frozenset(begins))


def _host_keys(values: Iterable[str]) -> Keys | None:
    exact: set[str] = set()
    ends: set[str] = set()
    for value in values:
        text = value.lower().removeprefix("*.")
        if not re.fullmatch(r"[a-z0-9.-]+", text):
            return None
        (ends if value.startswith("*.") else exact).add(text)
    return Keys("host", frozenset(exact), frozenset(ends))


def _is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None and not text.startswith("#")


def fits(row: Row, keys: Keys) -> bool:
    """Whether a rule may come into the row."""
    return keys.field == row.field and len(_label_counts([*(known for known, _ in row.rules), keys])) <= _MOST_LABEL_COUNTS


def _label_counts(keys: Iterable[Keys]) -> list[int]:
    """The most first."""
    return sorted({end.count(".") + 1 for one in keys if one.field == "host" for end in one.partial}, reverse=True)


def row_lines(row: Row, bodies: Bodies, *, is_first: bool = False) -> list[str]:
    """Lines that put into `txn.r` what the first of the rules that hold says, unless something stands there.

    Before the first of all rules nothing can.
    """
    exact, partial = tables(row)
    if row.field == "path":
        lookups = [("path,map_str", exact), ("path,map_beg", partial)]
    else:
        lookups = [("var(txn.host),map_str", exact)]
        for count in _label_counts(keys for keys, _ in row.rules):
            of_these = {end: decision for end, decision in partial.items() if end.count(".") + 1 == count}
            # Without the first label, which `*` has to stand for; then the last so many.
            lookups.append((f"var(txn.host),field(2,.,0),field(-1,.,{count}),map_str", of_these))
    lookups = [(lookup, table) for lookup, table in lookups if table]
    lines: list[str] = []
    for number, (lookup, table) in enumerate(lookups):
        path = bodies.path_of("".join(f"{key} {decision}\n" for key, decision in sorted(table.items())).encode(), ".map")
        found = quoted(f"{lookup}({argument(path)})")
        lines.append(f"http-request set-var(txn.r) {found}" + ("" if is_first and number == 0 else f" {UNLESS_CHOSEN}"))
    return lines


def tables(row: Row) -> tuple[dict[str, str], dict[str, str]]:
    """(exact key -> decision, partial key -> decision): the first that is found, the exact one first and then longest first, holds."""
    exact: dict[str, int] = {}
    partial: dict[str, int] = {}
    for number, (keys, _) in enumerate(row.rules):
        for text in keys.exact:
            exact.setdefault(text, number)
        for text in keys.partial:
            partial.setdefault(text, number)
    shorter = _begins if row.field == "path" else _ends
    best = {text: min(partial[part] for part in shorter(text) if part in partial) for text in partial}
    first = {
        text: min((number, *(partial[part] for part in _within(row.field, text) if part in partial))) for text, number in exact.items()
    }
    decisions = [decision for _, decision in row.rules]
    return {text: decisions[number] for text, number in first.items()}, {text: decisions[number] for text, number in best.items()}


def _within(field: Field, text: str) -> list[str]:
    """The partial keys that would hold for this whole text."""
    return _begins(text) if field == "path" else _ends(text)[1:]


def _begins(text: str) -> list[str]:
    """Every beginning of it, the text itself among them."""
    return [text[:length] for length in range(1, len(text) + 1)]


def _ends(text: str) -> list[str]:
    """The text, and what is left of it without its first label, without its second, …"""
    labels = text.split(".")
    return [".".join(labels[number:]) for number in range(len(labels))]

"""Rule conditions as HAProxy's access lists: values of one condition are alternatives, conditions of one rule must all hold. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_network

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.words import Unrenderable, argument, bounded, quoted

_TOKEN = re.compile(r"\\[*?\\]|.", re.DOTALL)


def acl_lines(name: str, condition: shapes.RuleCondition) -> list[str]:
    """`acl NAME …` lines, which hold when any of them does."""
    lines = [f"acl {name} {test}" for test in _tests(condition)]
    if not lines:
        raise Unrenderable(f"a condition on {condition.field} without a value")
    return lines


def _tests(condition: shapes.RuleCondition) -> Iterable[str]:
    match condition:
        case shapes.RuleCondition(host_header_config=shapes.HostHeaderConditionConfig() as host):
            return _texts("var(txn.host)", host.values, host.regex_values, "-i ")
        case shapes.RuleCondition(path_pattern_config=shapes.PathPatternConditionConfig() as path):
            return _texts("path", path.values, path.regex_values, "")
        case shapes.RuleCondition(http_header_config=shapes.HttpHeaderConditionConfig() as header):
            fetch = quoted(f"req.fhdr({argument(header.http_header_name or '')})")
            return _texts(fetch, header.values, header.regex_values, "-i ")
        case shapes.RuleCondition(http_request_method_config=shapes.HttpRequestMethodConditionConfig() as method):
            return [f"method -m str -- {quoted(value)}" for value in method.values or ()]
        case shapes.RuleCondition(query_string_config=shapes.QueryStringConditionConfig() as query):
            return [f"query -m reg -i -- {quoted(_query(pair))}" for pair in query.values or ()]
        case shapes.RuleCondition(source_ip_config=shapes.SourceIpConditionConfig() as source):
            return [f"src -- {ip_network(value, strict=False)}" for value in source.values or ()]
    raise Unrenderable(f"a condition on {condition.field!r}")


def _texts(fetch: str, values: tuple[str, ...] | None, regexes: tuple[str, ...] | None, flag: str) -> Iterable[str]:
    for value in values or ():
        yield f"{fetch} {_glob(value, flag)}"
    for regex in regexes or ():
        yield f"{fetch} -m reg {flag}-- {quoted(bounded(regex))}"


def _glob(value: str, flag: str) -> str:
    tokens = _TOKEN.findall(value)
    if not any(token in "*?" for token in tokens):
        return f"-m str {flag}-- {quoted(_plain(tokens))}"
    if len(tokens) > 1 and tokens[-1] == "*" and not any(token in "*?" for token in tokens[:-1]):
        return f"-m beg {flag}-- {quoted(_plain(tokens[:-1]))}"
    return f"-m reg {flag}-- {quoted('^' + glob_regex(value, '.') + '$')}"


def _plain(tokens: list[str]) -> str:
    return "".join(token[-1] for token in tokens)


def glob_regex(value: str, character: str) -> str:
    r"""`*` is any number of `character` (a regular expression for one), `?` is one; `\*`, `\?` and `\\` stand for themselves.

    What stands between two `*` is taken where it comes first and never looked for again (`(?>…)`): whatever is found later would
    do as well there, so that time grows with the text only, and not with its power.
    """
    pieces: list[str] = [""]
    for part in _TOKEN.findall(value):
        if part == "*":
            pieces.append("")
        else:
            pieces[-1] += character if part == "?" else re.escape(part[-1])
    if len(pieces) == 1:
        return pieces[0]
    first, *middle, last = pieces
    return first + "".join(f"(?>{character}*?{piece})" for piece in middle if piece) + f"{character}*{last}"


def _query(pair: shapes.QueryStringKeyValuePair) -> str:
    key = "([^&=]*=)?" if pair.key is None else glob_regex(pair.key, "[^&=]") + "="
    return f"(^|&){key}{glob_regex(pair.value or '', '[^&]')}(&|$)"

"""Whatever clients supply, a line of the configuration has the words it is meant to have, and no more lines come out of it."""

from __future__ import annotations

import re
import shlex

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.render.transforms import substitute
from longshore.balancer.snapshot import Front
from longshore.services.elbv2.model import Rule
from tests.balancer.cases import front, rule
from tests.balancer.lab import paths
from tests.balancer.test_render import rendered

#: what HAProxy's words, expressions and patterns are made of
_text = st.text(st.sampled_from(list("a1 '\"\\%[]{}(),;#$&|!?*+.^-/:=<>~`\t\n\rä")), min_size=1, max_size=12)


def words(made: str) -> list[int]:
    """How many words each line has. HAProxy takes quotes and backslashes away as a shell does; `#` is a comment's only outside of both."""
    return [len(shlex.split(line)) for line in made.splitlines() if line.strip() and not line.strip().startswith("#")]


def with_rule(one: Rule, attributes: dict[str, str] | None = None) -> Front:
    found = front(rules=(one,))
    return msgspec.structs.replace(found, listener=msgspec.structs.replace(found.listener, attributes=attributes or {}))


def transformed(regex: str, replacement: str) -> Rule:
    config = (shapes.RewriteConfig(regex=regex, replace=replacement),)
    transforms = (
        shapes.RuleTransform(type="url-rewrite", url_rewrite_config=shapes.UrlRewriteConfig(rewrites=config)),
        shapes.RuleTransform(type="host-header-rewrite", host_header_rewrite_config=shapes.HostHeaderRewriteConfig(rewrites=config)),
    )
    return msgspec.structs.replace(rule(1, paths("/x")), transforms=transforms)


@settings(max_examples=60)
@given(_text, _text)
def test_transforms_stay_within_their_words(regex: str, replacement: str) -> None:
    made = rendered(with_rule(transformed(regex, replacement)))
    if re.search(r"[\x00-\x1f\x7f]", regex + replacement):
        assert made.refused
        return
    assert words(made.text) == words(rendered(with_rule(transformed("a", "b"))).text)


@settings(max_examples=60)
@given(_text)
def test_headers_of_answers_stay_within_their_words(value: str) -> None:
    key = "routing.http.response.content_security_policy.header_value"
    made = rendered(with_rule(rule(1, paths("/x")), {key: value}))
    if re.search(r"[\x00-\x1f\x7f]", value):
        assert made.refused
        return
    assert words(made.text) == words(rendered(with_rule(rule(1, paths("/x")), {key: "a"})).text)


@settings(max_examples=60)
@given(_text, _text, _text)
def test_redirects_stay_within_their_words(host: str, path: str, query: str) -> None:
    def to(host: str, path: str, query: str) -> Rule:
        config = shapes.RedirectActionConfig(protocol="HTTPS", port="443", host=host, path="/" + path, query=query, status_code="HTTP_301")
        return rule(1, paths("/x"), action=shapes.Action(type="redirect", redirect_config=config))

    made = rendered(with_rule(to(host, path, query)))
    if re.search(r"[\x00-\x1f\x7f]", host + path + query):
        assert made.refused
        return
    assert words(made.text) == words(rendered(with_rule(to("a", "b", "c"))).text)


def test_replacements_name_groups_as_haproxy_does() -> None:
    assert substitute("/$1/$2") == "/\\1/\\2"
    assert substitute("$$1") == "$1", "two of them are one"
    assert substitute("\\1") == "\\\\1", "a backslash is itself"

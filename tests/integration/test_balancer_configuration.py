"""Whatever the API accepts, HAProxy accepts, and it means what it says there: nothing a client supplies breaks out of its place."""

from __future__ import annotations

import random
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck as Check
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.binds import allocate
from longshore.balancer.files import prepare, propose
from longshore.balancer.render.configuration import render
from longshore.balancer.render.places import Places
from longshore.balancer.snapshot import Snapshot
from longshore.services.elbv2.actions import checked_actions
from longshore.services.elbv2.conditions import checked_conditions
from longshore.services.elbv2.errors import Validation
from longshore.services.elbv2.model import HealthCheck
from tests.balancer.cases import front, load_balancer, pool, rule, target
from tests.balancer.lab import fixed, laboratory

pytestmark = pytest.mark.engine("haproxy")

_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F))
_TOKEN = "ABCXYZabcxyz019!#$%&'*+.^_`|~-"
_PATH = """AZaz09_-.$/~"'@:+&*?=%!,;()"""


def text(alphabet: str, most: int = 30) -> st.SearchStrategy[str]:
    return st.text(st.sampled_from(list(alphabet)), min_size=1, max_size=most)


_hosts = st.builds(lambda name: f"{name}.test", text("abz09-*?."))
_pairs = st.builds(lambda key, value: shapes.QueryStringKeyValuePair(key=key, value=value), st.none() | text(_PRINTABLE), text(_PRINTABLE))
_conditions = st.one_of(
    text(_PATH, 128).map(
        lambda value: shapes.RuleCondition(
            field="path-pattern",
            path_pattern_config=shapes.PathPatternConditionConfig(values=(value.replace("*", "", value.count("*") - 1),)),
        )
    ),
    _hosts.map(
        lambda value: shapes.RuleCondition(field="host-header", host_header_config=shapes.HostHeaderConditionConfig(values=(value,)))
    ),
    st.builds(
        lambda name, value: shapes.RuleCondition(
            field="http-header", http_header_config=shapes.HttpHeaderConditionConfig(http_header_name=name, values=(value,))
        ),
        text(_TOKEN, 40).filter(lambda name: name.lower() != "host"),
        text(_PRINTABLE),
    ),
    _pairs.map(
        lambda pair: shapes.RuleCondition(field="query-string", query_string_config=shapes.QueryStringConditionConfig(values=(pair,)))
    ),
    text("ABCZ_-", 40).map(
        lambda value: shapes.RuleCondition(
            field="http-request-method", http_request_method_config=shapes.HttpRequestMethodConditionConfig(values=(value,))
        )
    ),
    st.builds(
        lambda address, bits: shapes.RuleCondition(
            field="source-ip", source_ip_config=shapes.SourceIpConditionConfig(values=(f"{address}/{bits}",))
        ),
        st.ip_addresses(v=4),
        st.integers(0, 32),
    ),
)
_uri = text("".join(chr(code) for code in range(0x21, 0x7F)).replace("#", ""), 128)
_actions = st.one_of(
    st.builds(
        fixed,
        st.integers(200, 599).filter(lambda code: code // 100 != 3),
        st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=200),
    ),
    st.builds(
        lambda host, path, query: shapes.Action(
            type="redirect",
            redirect_config=shapes.RedirectActionConfig(
                status_code="HTTP_302", host=host, path=f"/#{{path}}{path}", query=query.lstrip("?") + "#{query}"
            ),
        ),
        _uri,
        _uri,
        _uri,
    ),
)
_checks = st.builds(
    lambda path, codes: HealthCheck(path=f"/{path}", http_codes=codes), _uri, st.sampled_from(["200", "200,202-299", "200-499"])
)


def _legal(condition: shapes.RuleCondition) -> tuple[shapes.RuleCondition, ...]:
    """As the API keeps it; nothing when it refuses it."""
    try:
        return checked_conditions([condition])
    except Validation:
        return ()


@settings(max_examples=25, deadline=None, suppress_health_check=[Check.too_slow, Check.data_too_large, Check.filter_too_much])
@given(st.lists(st.tuples(_conditions, _actions), min_size=5, max_size=12), _checks, text(_TOKEN, 60))
def test_whatever_the_api_accepts_haproxy_accepts(
    drawn: list[tuple[shapes.RuleCondition, shapes.Action]], check: HealthCheck, cookie: str
) -> None:
    rules = tuple(
        replace(rule(number, *legal), actions=checked_actions([action], "application", "HTTP"))
        for number, (condition, action) in enumerate(drawn, 1)
        if (legal := _legal(condition))
    )
    one = front(rules=rules)
    sticky = {"stickiness.enabled": "true", "stickiness.type": "app_cookie", "stickiness.app_cookie.cookie_name": cookie}
    with tempfile.TemporaryDirectory() as directory:
        places = Places(directory)
        prepare(places, Path(directory))
        pools = (pool(target(), attributes=sticky, health_check=check),)
        made = render(Snapshot((load_balancer(),), (one,), pools), allocate([one], set(), lambda bind: ""), places, "secret")
        assert made.refused == {}
        path = propose(places, made.text, made.files)
        done = subprocess.run(["haproxy", "-c", "-f", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert made.text.count("\nfrontend ") == 1 and made.text.count("\nbackend ") == 3


async def test_conditions_mean_what_they_say_with_any_character(tmp_path: Path) -> None:
    """Header names, header values, query strings and paths of every printable character, each with a rule that only it meets."""
    draw = random.Random(7)
    headers: list[tuple[str, str]] = []
    queries: list[tuple[str, str]] = []
    places: list[str] = []
    for number in range(24):
        name = f"x{number}" + "".join(draw.sample(_TOKEN, 12))
        value = f"v{number}" + "".join(draw.sample(_PRINTABLE.strip(), 20)) + "."
        headers.append((name, value))
        allowed = [character for character in _PRINTABLE if character not in ' #&=<>"`{}|\\^[]']
        queries.append((f"k{number}" + "".join(draw.sample(allowed, 10)), "".join(draw.sample(allowed, 10))))
        places.append(f"/p{number}" + "".join(draw.sample([c for c in _PATH if c not in '*?"'], 12)))
    async with laboratory(tmp_path / "haproxy") as lab:
        lb = await lab.load_balancer()
        listener = await lab.listener(lb, fixed(404))
        priority = 0
        for kind, values in (("header", headers), ("query", queries), ("path", places)):
            for number, value in enumerate(values):
                priority += 1
                await lab.rule(listener, priority, checked_conditions([_exactly(kind, value)]), fixed(200, f"{kind} {number}"))
        await lab.settled()
        assert lab.status(lb) == ("active", "")
        for number in range(24):
            assert (await lab.ask(headers=[headers[number]])).body.decode() == f"header {number}"
            assert (await lab.ask("/?" + "=".join(queries[number]))).body.decode() == f"query {number}"
            assert (await lab.ask(places[number])).body.decode() == f"path {number}"
            assert (await lab.ask(headers=[(headers[number][0], "x" + headers[number][1])])).status == 404


def _exactly(kind: str, value: str | tuple[str, str]) -> shapes.RuleCondition:
    """A condition that holds for `value` alone: its wildcards are escaped."""
    if kind == "path":
        assert isinstance(value, str)
        return shapes.RuleCondition(field="path-pattern", path_pattern_config=shapes.PathPatternConditionConfig(values=(value,)))
    name, content = value
    if kind == "header":
        config = shapes.HttpHeaderConditionConfig(http_header_name=name, values=(_escaped(content),))
        return shapes.RuleCondition(field="http-header", http_header_config=config)
    pair = shapes.QueryStringKeyValuePair(key=_escaped(name), value=_escaped(content))
    return shapes.RuleCondition(field="query-string", query_string_config=shapes.QueryStringConditionConfig(values=(pair,)))


def _escaped(text: str) -> str:
    return "".join("\\" + character if character in "*?\\" else character for character in text)

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.binds import Binds, allocate
from longshore.balancer.render.conditions import acl_lines, glob_regex
from longshore.balancer.render.configuration import Rendering, owner_of_line, render
from longshore.balancer.render.places import Places
from longshore.balancer.runtime import connections_in, failures_in, processes_in, servers_in
from longshore.balancer.snapshot import Front, Pool, Snapshot
from longshore.balancer.states import server_states
from longshore.balancer.words import Unrenderable, quoted
from tests.balancer.cases import BACKEND, front, group, load_balancer, pool, rule, target
from tests.balancer.lab import fixed, paths

PLACES = Places("/run/x")


def rendered(*fronts: Front, pools: tuple[Pool, ...] = ()) -> Rendering:
    binds = allocate(fronts, set(), lambda bind: "")
    return render(Snapshot((load_balancer(),), fronts, pools), binds, PLACES, "secret")


def test_servers_do_not_belong_to_the_structure() -> None:
    some = rendered(front(), pools=(pool(target()),))
    more = rendered(front(), pools=(pool(target(), target("10.0.0.2:80")),))
    assert some.structure == more.structure and some.text != more.text
    assert more.text.count("server 10.0.0.2_10.0.0.2:80 10.0.0.2:80") == 2, "checked, and unchecked for when nobody is healthy"


def test_everything_else_does() -> None:
    plain = rendered(front(), pools=(pool(),)).structure
    others = [
        rendered(front(port=81), pools=(pool(),)),
        rendered(front(rules=(rule(1, paths("/x")),)), pools=(pool(),)),
        rendered(front(), pools=(pool(attributes={"stickiness.enabled": "true"}),)),
        rendered(front(), pools=(pool(health_check=group().health_check.__class__(interval_s=7)),)),
        rendered(front(fixed(200, "body")), pools=(pool(),)),
    ]
    assert len({plain, *(other.structure for other in others)}) == 6


def test_a_line_can_be_traced_to_whose_it_is() -> None:
    one = front(rules=(rule(1, paths("/one")), rule(2, paths("/two"))))
    text = rendered(one, pools=(pool(target()),)).text
    lines = text.splitlines()

    def owner(part: str) -> str | None:
        return owner_of_line(text, next(number for number, line in enumerate(lines, 1) if part in line))

    assert owner("'/one'") == one.rules[0].arn
    assert owner("'/two'") == one.rules[1].arn
    assert owner("str(0|") == one.listener.arn
    assert owner("option httpchk") == group().arn
    assert owner("noreuseport") is None


def test_a_rule_that_cannot_be_said_is_left_out_with_a_reason() -> None:
    one = front(rules=(rule(1, paths("/a\nb")), rule(2, paths("/two"))))
    made = rendered(one)
    assert list(made.refused) == [one.rules[0].arn] and "control character" in made.refused[one.rules[0].arn]
    assert "'/two'" in made.text


@pytest.mark.parametrize(("path", "by"), [("/a\nb", "us"), ("/admin", "HAProxy")])
def test_nobody_gets_past_a_rule_that_keeps_people_out_and_cannot_be_served(path: str, by: str) -> None:
    before, out, after = rule(1, paths("/one")), rule(2, paths(path), action=fixed(403)), rule(3, paths("/two"))
    shown = front(rules=(before, out, after))
    if by == "HAProxy":
        shown = Snapshot((), (shown,), ()).leaving_out({out.arn}).fronts[0]
    lines = rendered(shown).text.splitlines()
    (place,) = [number for number, line in enumerate(lines) if "return status 500" in line and "!{ var(txn.r) -m found }" in line]
    assert lines[place - 1] == f"  # {out.arn}"
    assert "'/one'" in "\n".join(lines[:place]) and "'/two'" in "\n".join(lines[place:])


def test_a_rule_that_only_leads_elsewhere_is_just_left_out() -> None:
    before, after = rule(1, paths("/one")), rule(3, paths("/two"))
    (left,) = Snapshot((), (front(rules=(before, after)),), ()).leaving_out({before.arn}).fronts
    assert (left.rules, left.closed) == ((after,), frozenset())


@given(st.text())
def test_a_quoted_word_is_one_line_and_ends_where_it_should(text: str) -> None:
    try:
        word = quoted(text)
    except Unrenderable:
        assert re.search(r"[\x00-\x1f\x7f]", text)
        return
    pieces = word.split("'\\''")
    assert word[0] == word[-1] == "'" and "'" not in "".join(pieces)[1:-1]
    assert "'".join(pieces)[1:-1] == text


_glob_text = st.text(st.sampled_from(list("ab*?\\.+()[]$^|/'\" #")), max_size=12)


def matches(pattern: str, text: str) -> bool:
    """What AWS says of wildcards, spelled out: `*` is any text, `?` one character, a backslash makes either plain."""
    tokens = re.findall(r"\\[*?\\]|.", pattern)

    def at(number: int, position: int) -> bool:
        if number == len(tokens):
            return position == len(text)
        token = tokens[number]
        if token == "*":
            return any(at(number + 1, end) for end in range(position, len(text) + 1))
        return position < len(text) and token in ("?", text[position], "\\" + text[position]) and at(number + 1, position + 1)

    return at(0, 0)


@given(_glob_text, _glob_text)
def test_wildcards_mean_what_they_should(pattern: str, text: str) -> None:
    assert bool(re.fullmatch(glob_regex(pattern, "."), text)) == matches(pattern, text)


def test_simple_patterns_need_no_regular_expression() -> None:
    assert acl_lines("a", paths("/x", "/y/*", "/z/?", "/p*q")) == [
        "acl a path -m str -- '/x'",
        "acl a path -m beg -- '/y/'",
        "acl a path -m reg -- '^/z/.$'",
        "acl a path -m reg -- '^/p.*q$'",
    ]


@pytest.mark.parametrize("condition", [shapes.RuleCondition(field="path-pattern"), paths()])
def test_a_condition_without_a_value_is_refused(condition: shapes.RuleCondition) -> None:
    with pytest.raises(Unrenderable):
        acl_lines("a", condition)


def test_the_states_file_tells_new_workers_who_is_healthy() -> None:
    text = server_states(
        [
            pool(
                target("10.0.0.1:80", health="healthy"),
                target("10.0.0.2:80", health="unhealthy"),
                target("10.0.0.3:80"),
                target("10.0.0.4:80", left_at=1.0),
            )
        ]
    )
    rows = [line.split() for line in text.splitlines()[2:]]
    checked = {row[3].rpartition(":")[0]: (row[5], row[6]) for row in rows if row[1] == BACKEND}
    assert checked == {
        "10.0.0.1_10.0.0.1": ("2", "0"),
        "10.0.0.2_10.0.0.2": ("0", "0"),
        "10.0.0.3_10.0.0.3": ("3", "0"),
        "10.0.0.4_10.0.0.4": ("0", "1"),
    }
    assert len(rows) == 8 and {len(row) for row in rows} == {len(text.splitlines()[1].split()) - 1}


def test_nothing_is_rendered_for_a_port_that_is_taken() -> None:
    one = front()
    made = render(Snapshot((one.load_balancer,), (one,), ()), Binds(taken={("127.0.2.1", 80): "busy"}), PLACES, "secret")
    assert "127.0.2.1:80" not in made.text


def test_answers_of_haproxy_are_read() -> None:
    stat = "# pxname,svname,scur,status,check_status,check_code,sid\ntg-a,s1,3,UP 1/2,* L7OK,200,1\ntg-a,s2,,no check,,,2\n\n"
    one, two = servers_in(stat)
    assert (one.backend, one.name, one.status, one.check_status, one.check_code, one.current_sessions) == (
        "tg-a",
        "s1",
        "UP 1/2",
        "L7OK",
        "200",
        3,
    )
    assert (two.status, two.current_sessions) == ("no check", 0)
    assert servers_in("# pxname,svname\n") == []
    conn = "# bkname/svname bkid/svid addr port - purge_delay used_cur\ntg-a/s1 4/1 127.0.0.1 80 - 0 2\n"
    assert connections_in(conn) == {"s1": 2} and connections_in("No such backend.") == {}
    proc = "#<PID> <type>\n10 master 3 [failed: 1] 0d\n# workers\n12 worker 0 0d\n# old workers\n11 worker 2 0d\n# programs\n"
    assert [(process.pid, process.is_master) for process in processes_in(proc)] == [(10, True), (12, False), (11, False)]
    assert failures_in(proc) == 1 and failures_in("") == 0

"""What happens to requests on their way through a load balancer, on the real HAProxy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.model import HealthCheck
from tests.balancer.lab import Lab, ask, fixed, forward, hosts, laboratory, paths, until

pytestmark = pytest.mark.engine("haproxy")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy") as lab:
        yield lab


async def test_requests_go_to_every_target_in_turn(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    await lab.serving(one, two)
    names = [(await lab.ask()).seen["name"] for _ in range(6)]
    assert sorted(names) == ["one"] * 3 + ["two"] * 3


async def test_the_first_rule_that_holds_decides(lab: Lab) -> None:
    lb = await lab.load_balancer()
    listener = await lab.listener(lb, fixed(404, "nobody"))
    method = shapes.RuleCondition(
        field="http-request-method", http_request_method_config=shapes.HttpRequestMethodConditionConfig(values=("PATCH",))
    )
    header = shapes.RuleCondition(
        field="http-header",
        http_header_config=shapes.HttpHeaderConditionConfig(http_header_name="X-Kind", values=("*blue*", "green")),
    )
    pair = shapes.QueryStringKeyValuePair(key="version", value="v?")
    query = shapes.RuleCondition(field="query-string", query_string_config=shapes.QueryStringConditionConfig(values=(pair,)))
    source = shapes.RuleCondition(field="source-ip", source_ip_config=shapes.SourceIpConditionConfig(values=("127.0.0.0/8",)))
    elsewhere = shapes.RuleCondition(field="source-ip", source_ip_config=shapes.SourceIpConditionConfig(values=("10.0.0.0/8",)))
    await lab.rule(listener, 5, [elsewhere], fixed(500, "never"))
    await lab.rule(listener, 10, [paths("/api/*"), hosts("api.test", "*.api.test")], fixed(200, "api"))
    await lab.rule(listener, 20, [paths("/api/*")], fixed(200, "path"))
    await lab.rule(listener, 30, [method], fixed(200, "method"))
    await lab.rule(listener, 40, [header], fixed(200, "header"))
    await lab.rule(listener, 50, [query, source], fixed(200, "query"))
    await lab.rule(listener, 60, [paths("/exact", "/A?c")], fixed(200, "exact"))
    await lab.rule(listener, 70, [paths(regex=("^/item/[0-9]{2,3}$",))], fixed(200, "regex"))
    await lab.settled()

    async def answer(path: str, **more: object) -> str:
        return (await lab.ask(path, **more)).body.decode()

    assert await answer("/api/x", host="API.test:8080") == "api"
    assert await answer("/api/x", host="a.b.api.test") == "api"
    assert await answer("/api/x") == "path"
    assert await answer("/API/x") == "nobody"
    assert await answer("/", method="PATCH") == "method"
    assert await answer("/", headers=[("x-kind", "red"), ("x-kind", "deep BLUE sea, really")]) == "header"
    assert await answer("/", headers=[("x-kind", "Green")]) == "header"
    assert await answer("/", headers=[("x-kind", "greenish")]) == "nobody"
    assert await answer("/?a=1&VERSION=V2&b") == "query"
    assert await answer("/?version=v22") == "nobody"
    assert await answer("/exact?and=more") == "exact"
    assert await answer("/Abc") == "exact"
    assert await answer("/exact/") == "nobody"
    assert await answer("/item/123") == "regex"
    assert await answer("/item/1234") == "nobody"


async def test_a_fixed_response_is_told_word_for_word(lab: Lab) -> None:
    lb = await lab.load_balancer()
    body = 'it\'s 100% "quoted" %[src] ${HOME} \\ # — ok\n\tdone'
    listener = await lab.listener(lb, fixed(418, body, "application/json"))
    await lab.rule(listener, 1, [paths("/empty")], fixed(204, "ignored"))
    await lab.settled()
    answer = await lab.ask()
    assert (answer.status, answer.body.decode(), answer.header("content-type")) == (418, body, "application/json")
    assert answer.header("server") == "awselb/2.0"
    assert (await lab.ask("/empty")).status == 204


def redirect(**config: str) -> shapes.Action:
    given = {"protocol": "#{protocol}", "port": "#{port}", "host": "#{host}", "path": "/#{path}", "query": "#{query}"} | config
    return shapes.Action(type="redirect", redirect_config=shapes.RedirectActionConfig(status_code="HTTP_301", **given))


async def test_redirects_fill_in_what_was_asked(lab: Lab) -> None:
    lb = await lab.load_balancer()
    listener = await lab.listener(lb, redirect(protocol="HTTPS", port="443"))
    await lab.rule(
        listener, 1, [paths("/old/*")], redirect(host="new.#{host}", path="/new%20'\"/#{path}/#{port}", query="from=#{host}&x=%")
    )
    await lab.rule(listener, 2, [paths("/bare")], redirect(path="/there", query=""))
    await lab.settled()

    async def location(path: str) -> str | None:
        answer = await lab.ask(path, host="Shop.test:81")
        assert answer.status == 301
        return answer.header("location")

    assert await location("/a/b?c=d") == "https://shop.test:443/a/b?c=d"
    assert await location("/a") == "https://shop.test:443/a"
    expected = f"http://new.shop.test:{lab.port}/new%20'\"/old/1/{lab.port}?from=shop.test&x=%"
    assert await location("/old/1") == expected
    assert await location("/bare?x=1") == f"http://shop.test:{lab.port}/there"


async def test_targets_learn_where_requests_come_from(lab: Lab) -> None:
    one = await lab.upstream("one")
    await lab.serving(one)
    first = {name.lower(): value for name, value in (await lab.ask()).seen["headers"]}
    assert first["x-forwarded-for"] == "127.0.0.1"
    assert first["x-forwarded-proto"] == "http"
    assert first["x-forwarded-port"] == str(lab.port)
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", first["x-amzn-trace-id"])
    given = [("X-Forwarded-For", "203.0.113.7"), ("X-Amzn-Trace-Id", "Self=1-0-0;Root=1-1-1"), ("X-Amzn-Oidc-Data", "forged")]
    answer = await lab.ask(headers=given)
    second = {name.lower(): value for name, value in answer.seen["headers"]}
    assert second["x-forwarded-for"] == "203.0.113.7, 127.0.0.1"
    assert re.fullmatch(r"Self=1-[0-9a-f]{8}-[0-9a-f]{24};Root=1-1-1", second["x-amzn-trace-id"])
    assert "x-amzn-oidc-data" not in second
    assert [name.lower() for name, _ in answer.seen["headers"]].count("x-forwarded-for") == 1


@pytest.mark.parametrize(("mode", "expected"), [("preserve", "203.0.113.7"), ("remove", None)])
async def test_forwarded_for_as_the_load_balancer_is_told(lab: Lab, mode: str, expected: str | None) -> None:
    one = await lab.upstream("one")
    group = await lab.group()
    lb = await lab.load_balancer(routing__http__xff_header_processing__mode=mode)
    await lab.register(group, one)
    await lab.listener(lb, forward(group))
    await lab.healthy(group, one)
    headers = {name.lower(): value for name, value in (await lab.ask(headers=[("X-Forwarded-For", "203.0.113.7")])).seen["headers"]}
    assert headers.get("x-forwarded-for") == expected


async def test_headers_in_disguise_do_not_reach_targets(lab: Lab) -> None:
    """A server that reads `_` as `-` (CGI, WSGI) would take them for what only the load balancer, or HTTP, may say."""
    upstream = await lab.upstream("a")
    await lab.serving(upstream)
    disguised = ["X_Amz_Date", "X_Amzn_Oidc_Identity", "X-Amzn_Oidc-Data", "X-Amzn-Trace_Id", "x_forwarded_for", "X-Forwarded_Proto"]
    disguised += ["Transfer_Encoding", "Content_Length"]
    theirs = ["X_Custom", "my_header", "X-Amz-Meta-Some_Key", "X-Other"]
    answer = await lab.ask("/", headers=[(name, "forged") for name in (*disguised, *theirs)])
    forged = sorted(name.lower() for name, value in answer.seen["headers"] if value == "forged")
    assert forged == sorted(name.lower() for name in theirs)


async def test_what_the_load_balancer_answers_itself(lab: Lab) -> None:
    one = await lab.upstream("one")
    _, group = await lab.serving(one)
    assert (await lab.ask(method="TRACE")).status == 405
    assert (await lab.ask(headers=[("X-Forwarded-For", ", ".join(["10.0.0.1"] * 31))])).status == 463
    await one.close()
    assert (await lab.ask()).status == 502, "the target refuses connections"
    await lab.deregister(group, one)
    await until(lambda: lab.target(group, one) is None)
    assert (await lab.ask()).status == 503, "there is no target"


async def test_weights_divide_requests_and_a_ticket_keeps_them_together(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    lb, many, few = await lab.load_balancer(), await lab.group("many"), await lab.group("few")
    await lab.register(many, one)
    await lab.register(few, two)
    listener = await lab.listener(lb, forward(many, few, weights=(90, 10)))
    await lab.rule(listener, 1, [paths("/sticky")], forward(many, few, weights=(1, 1), sticky_s=60))
    await lab.rule(listener, 2, [paths("/none")], forward(many, few, weights=(0, 0)))
    await lab.rule(listener, 3, [paths("/all")], forward(many, few, weights=(0, 5)))
    await lab.healthy(many, one)
    await lab.healthy(few, two)
    await lab.settled()
    names = [(await lab.ask()).seen["name"] for _ in range(200)]
    assert 150 < names.count("one") < 199
    assert {(await lab.ask("/all")).seen["name"] for _ in range(10)} == {"two"}
    assert (await lab.ask("/none")).status == 503
    for _ in range(5):
        answer = await lab.ask("/sticky")
        ticket = answer.cookies()["AWSALBTG"]
        assert "Expires=" in ticket and "AWSALBTGCORS" in answer.cookies()
        cookie = [("Cookie", f"AWSALBTG={ticket.partition(';')[0]}")]
        assert {(await lab.ask("/sticky", headers=cookie)).seen["name"] for _ in range(8)} == {answer.seen["name"]}


async def test_a_cookie_keeps_clients_with_their_target(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    group = await lab.group(attributes={"stickiness.enabled": "true"})
    await lab.serving(one, group=group)
    # Added at run time, after the configuration was read.
    await lab.register(group, two)
    await lab.healthy(group, one, two)
    answers = [await lab.ask() for _ in range(6)]
    cookies = {answer.seen["name"]: answer.cookies() for answer in answers}
    assert cookies.keys() == {"one", "two"}
    for name, given in cookies.items():
        assert "Expires=" in given["AWSALB"] and "SameSite=None; Secure" in given["AWSALBCORS"]
        header = [("Cookie", f"AWSALB={given['AWSALB'].partition(';')[0]}")]
        again = [await lab.ask(headers=header) for _ in range(4)]
        assert {answer.seen["name"] for answer in again} == {name}
        assert all("AWSALB" in answer.cookies() for answer in again), "the cookie lives on with every request"
    header = [("Cookie", f"AWSALB={cookies['two']['AWSALB'].partition(';')[0]}")]
    await lab.deregister(group, two)
    await until(lambda: lab.target(group, two) is None)
    assert (await lab.ask(headers=header)).seen["name"] == "one"


async def test_an_application_cookie_keeps_clients_with_their_target(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    sticky = {"stickiness.enabled": "true", "stickiness.type": "app_cookie", "stickiness.app_cookie.cookie_name": "session"}
    await lab.serving(one, two, group=await lab.group(attributes=sticky))
    header = [("Cookie", "session=4711")]
    assert len({(await lab.ask(headers=header)).seen["name"] for _ in range(6)}) == 1


async def test_load_balancers_that_share_a_port_are_told_apart_by_name(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    web, api = await lab.load_balancer("web", 1), await lab.load_balancer("api", 2)
    web_group, api_group = await lab.group("web"), await lab.group("api")
    await lab.register(web_group, one)
    await lab.register(api_group, two)
    await lab.listener(web, forward(web_group))
    await lab.healthy(web_group, one)

    async def local(host: str) -> tuple[int, str]:
        answer = await ask("127.0.0.1", lab.port, host=host)
        return answer.status, answer.seen["name"] if answer.status == 200 else answer.body.decode()

    assert await local("anything.test") == (200, "one"), "alone on its port, it answers to any name"
    await lab.listener(api, forward(api_group))
    await lab.healthy(api_group, two)
    await lab.settled()
    assert await local(web.dns_name) == (200, "one")
    assert await local(f"{api.dns_name.upper()}:{lab.port}") == (200, "two")
    status, words = await local("anything.test")
    assert status == 404 and web.dns_name in words and api.dns_name in words
    assert (await lab.ask(slot=1)).seen["name"] == "one"
    answer = await lab.ask(slot=2)
    assert answer.seen["name"] == "two"
    headers = {name.lower(): value for name, value in answer.seen["headers"]}
    assert headers["x-forwarded-for"] == "127.0.0.1"


async def test_a_network_load_balancer_passes_bytes(lab: Lab) -> None:
    one = await lab.upstream("one")
    lb = await lab.load_balancer("net", type="network")
    group = await lab.group("net", protocol="TCP", check=HealthCheck(protocol="TCP", path="", http_codes="", interval_s=1, timeout_s=1))
    await lab.register(group, one)
    await lab.listener(lb, forward(group), protocol="TCP")
    await lab.healthy(group, one)
    headers = {name.lower() for name, _ in (await lab.ask()).seen["headers"]}
    assert "x-forwarded-for" not in headers

"""What an application load balancer refuses, changes and adds, on the real HAProxy."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.model import LISTENERS, RULES, LoadBalancer, Rule, TargetGroup
from tests.balancer.lab import Client, Lab, Upstream, fixed, forward, hosts, laboratory, paths, quiet_port

pytestmark = pytest.mark.engine("haproxy")

HOST = b"Host: a.test\r\n"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy") as lab:
        yield lab


async def serving(lab: Lab, listener: dict[str, str] | None = None, **attributes: str) -> Upstream:
    """A load balancer with those attributes in front of one server."""
    one = await lab.upstream("one")
    lb: LoadBalancer = await lab.load_balancer(**attributes)
    group: TargetGroup = await lab.group()
    await lab.register(group, one)
    made = await lab.listener(lb, forward(group))
    if listener:
        await lab.store.transact(lambda tx: tx.put(LISTENERS, replace(made, attributes=listener)))
    await lab.healthy(group, one)
    await lab.settled()
    return one


async def said(lab: Lab, request: bytes) -> bytes:
    """The head of what comes back for bytes as they are."""
    reader, writer = await asyncio.open_connection(lab.address(), lab.port)
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()


def status(head: bytes) -> int:
    return int(head.split()[1])


REFUSED = {
    "TRACE": (b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "CONNECT": (b"CONNECT a.test:80 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "a URL that is too long": (b"GET /" + b"a" * 16_500 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "headers that are too long together": (
        b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X%d: %s\r\n" % (number, b"a" * 15_000) for number in range(5)) + b"\r\n",
        400,
    ),
    "too many headers": (b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X%d: a\r\n" % number for number in range(300)) + b"\r\n", 400),
    "another version": (b"GET / HTTP/3.0\r\n" + HOST + b"\r\n", 505),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\n" + HOST + b"Host: b.test\r\n\r\n", 400),
    "a host that is not the URL's": (b"GET http://b.test/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 6\r\nContent-Length: 5\r\n\r\nabcdef", 400),
    "a length below zero": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
    "a transfer encoding that hides another": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n", 400),
    "a blank before the colon": (b"GET / HTTP/1.1\r\n" + HOST + b"X : a\r\n\r\n", 400),
    "a name with brackets": (b"GET / HTTP/1.1\r\n" + HOST + b"X(y): a\r\n\r\n", 400),
    "a URL that is no ASCII": (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    "too many addresses": (b"GET / HTTP/1.1\r\n" + HOST + b"X-Forwarded-For: " + b", ".join([b"10.0.0.1"] * 31) + b"\r\n\r\n", 463),
}


async def test_no_target_sees_what_is_refused(lab: Lab) -> None:
    one = await serving(lab)
    for what, (request, expected) in REFUSED.items():
        assert status(await said(lab, request)) == expected, what
    assert one.asked == []


async def test_what_can_be_read_two_ways_reaches_targets_in_one(lab: Lab) -> None:
    one = await serving(lab)
    smuggling = b"POST /outer HTTP/1.1\r\n" + HOST + b"Content-Length: 48\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    head = await said(lab, smuggling + b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n")
    assert status(head) == 200 and one.asked == ["/outer"], "what comes after the end of the body is no request of anybody's"
    assert status(await said(lab, b"GET /bare HTTP/1.1\nHost: a.test\n\n")) == 200
    assert status(await said(lab, b"GET /folded HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n")) == 200
    assert status(await said(lab, b"GET http://a.test/whole HTTP/1.1\r\n" + HOST + b"\r\n")) == 200
    assert one.asked == ["/outer", "/bare", "/folded", "/whole"]


@pytest.mark.parametrize("upgrade", ["h2c", "websocket, h2c", "websocket\r\nUpgrade: h2c", "HTTP/2.0", "tls/1.2"])
async def test_only_web_sockets_become_tunnels(lab: Lab, upgrade: str) -> None:
    await serving(lab)
    key = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    about = ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", upgrade), ("HTTP2-Settings", "AAMAAABkAAQAAP__"), key
    names = [name.lower() for name, _ in (await lab.ask("/", headers=about)).seen["headers"]]
    assert "host" in names and "upgrade" not in names
    wanted = await lab.ask("/", headers=[("Connection", "Upgrade"), ("Upgrade", "WebSocket"), key])
    assert ["upgrade", "WebSocket"] in wanted.seen["headers"]


async def test_the_strictest_mode_refuses_what_is_only_suspicious(lab: Lab) -> None:
    one = await serving(lab, routing__http__desync_mitigation_mode="strictest")
    for request in (
        b"GET / HTTP/1.1\r\n" + HOST + b"X_y: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):
        assert status(await said(lab, request)) == 400, request
    assert one.asked == [] and (await lab.ask()).status == 200


async def seen(lab: Lab, path: str = "/", **more: object) -> dict[str, str]:
    answer = await lab.ask(path, **more)
    return {name.lower(): value for name, value in answer.seen["headers"]}


async def test_header_names_that_are_not_valid_are_dropped_where_that_is_wanted(lab: Lab) -> None:
    await serving(lab, routing__http__drop_invalid_header_fields__enabled="true")
    found = await seen(lab, headers=[("X_y", "1"), ("X-y", "2")])
    assert "x_y" not in found and found["x-y"] == "2"


async def test_host_names_the_port_unless_it_is_preserved(lab: Lab) -> None:
    await serving(lab)
    assert (await seen(lab, host="a.test"))["host"] == f"a.test:{lab.port}"
    assert (await seen(lab, host="a.test:99"))["host"] == "a.test:99"


async def test_host_is_preserved_where_that_is_wanted(lab: Lab) -> None:
    await serving(lab, routing__http__preserve_host_header__enabled="true")
    assert (await seen(lab, host="A.test"))["host"] == "A.test"


async def test_forwarded_for_can_tell_the_clients_port(lab: Lab) -> None:
    await serving(lab, routing__http__xff_client_port__enabled="true")
    assert re.fullmatch(r"127\.0\.0\.1:\d+", (await seen(lab))["x-forwarded-for"])
    found = (await seen(lab, headers=[("X-Forwarded-For", "203.0.113.7:1")]))["x-forwarded-for"]
    assert re.fullmatch(r"203\.0\.113\.7:1, 127\.0\.0\.1:\d+", found)


async def test_several_lines_of_addresses_are_all_kept(lab: Lab) -> None:
    await serving(lab)
    answer = await lab.ask(headers=[("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "2.2.2.2")])
    assert [value for name, value in answer.seen["headers"] if name == "x-forwarded-for"] == ["1.1.1.1", "2.2.2.2", "127.0.0.1"]


async def test_clients_get_the_headers_that_the_listener_adds(lab: Lab) -> None:
    policy = "default-src 'self'; report-uri /100%?a=${HOME}"
    key = "routing.http.response"
    one = await serving(
        lab,
        {
            f"{key}.strict_transport_security.header_value": "max-age=60",
            f"{key}.content_security_policy.header_value": policy,
            f"{key}.x_frame_options.header_value": "DENY",
            f"{key}.server.enabled": "false",
        },
    )
    answer = await lab.ask()
    assert answer.header("strict-transport-security") == "max-age=60" and answer.header("content-security-policy") == policy
    assert answer.header("x-frame-options") == "DENY"
    own = await lab.ask(method="TRACE")
    assert own.header("server") is None and own.header("x-frame-options") == "DENY"
    assert one.asked == ["/"]


async def test_no_regular_expression_keeps_haproxy_busy(lab: Lab) -> None:
    """HAProxy's engine goes back and tries again, and a thread that does so for two seconds ends the process."""

    def regex(text: str) -> shapes.RuleCondition:
        return shapes.RuleCondition(field="path-pattern", path_pattern_config=shapes.PathPatternConditionConfig(regex_values=(text,)))

    lb = await lab.load_balancer()
    listener = await lab.listener(lb, fixed(200, "nothing"))
    worst = ("([ab]a?){20}[xy]", "([ab]a?){14}[xy]", "a*a*a*a*a*[bc]", "(.*?a){12}[xy]", "^/(a|aa)+[xy]")
    for priority, text in enumerate(worst, 1):
        await lab.rule(listener, priority, [regex(text)], fixed(200, text))
    await lab.rule(listener, 10, [regex("^/x|(?i:END)$")], fixed(200, "found"))
    await lab.settled()
    before = time.monotonic()
    assert (await lab.ask("/" + "a" * 14_000)).body == b"nothing"
    assert time.monotonic() - before < 1
    assert (await lab.ask("/" + "z/" * 6000 + "eNd")).body == b"found"
    assert (await lab.ask("/xy")).body == b"found"
    assert (await lab.ask("/z/x")).body == b"nothing"


async def test_rules_change_requests_after_they_were_chosen(lab: Lab) -> None:
    one = await lab.upstream("one")
    lb, group = await lab.load_balancer(), await lab.group()
    await lab.register(group, one)
    listener = await lab.listener(lb, forward(group))

    async def rule(priority: int, path: str, **rewrites: tuple[str, str]) -> None:
        made: Rule = await lab.rule(listener, priority, [paths(path)], forward(group))
        transforms = []
        for kind, (regex, replacement) in rewrites.items():
            config = (shapes.RewriteConfig(regex=regex, replace=replacement),)
            if kind == "url":
                found = shapes.RuleTransform(type="url-rewrite", url_rewrite_config=shapes.UrlRewriteConfig(rewrites=config))
            else:
                found = shapes.RuleTransform(
                    type="host-header-rewrite", host_header_rewrite_config=shapes.HostHeaderRewriteConfig(rewrites=config)
                )
            transforms.append(found)
        await lab.store.transact(lambda tx: tx.put(RULES, replace(made, transforms=tuple(transforms))))

    await rule(1, "/dp/*", url=(r"^\/dp\/([A-Za-z0-9]+)\/?$", "/product.php?id=$1"), host=("^shop-(.+)[.]com$", "in.$1.my.com"))
    await rule(2, "/q", url=("[?&]secret=[^&]*", ""))
    await rule(3, "/odd/*", url=("/odd/(['\"],?[)]?)(.*)", "/%\\$1%[src]'\"${HOME}/$2$$"))
    await rule(4, "/no-slash", url=("^/no-slash$", "nowhere"))
    await lab.healthy(group, one)
    await lab.settled()

    async def asked(path: str, host: str = "x.test") -> tuple[str, str]:
        answer = await lab.ask(path, host=host)
        headers = {name.lower(): value for name, value in answer.seen["headers"]}
        return answer.seen["path"], headers["host"].partition(":")[0]

    assert await asked("/dp/B09/", "shop-eu.com") == ("/product.php?id=B09", "in.eu.my.com")
    assert await asked("/dp/B09/x", "shop.com") == ("/dp/B09/x", "shop.com"), "what does not match is not changed"
    assert await asked("/q?a=1&secret=2&b=3") == ("/q?a=1&b=3", "x.test")
    assert await asked("/odd/',)tail") == ("/%\\',)%[src]'\"${HOME}/tail$", "x.test")
    assert (await lab.ask("/no-slash")).status == 500


async def test_tables_of_rules_lead_where_the_rules_one_by_one_would(lab: Lab) -> None:
    chance = random.Random(8)
    lb = await lab.load_balancer()
    listener = await lab.listener(lb, fixed(200, "default"))
    by_path: list[tuple[str, ...]] = []
    by_host: list[tuple[str, ...]] = []
    for _ in range(20):
        parts = ["".join(chance.choices("/ab", k=chance.randint(0, 5))) for _ in range(chance.randint(1, 3))]
        by_path.append(tuple("/" + part + chance.choice(["", "*"]) for part in parts))
        labels = [".".join(chance.choices(["a", "b", "c"], k=chance.randint(1, 3))) + ".com" for _ in range(2)]
        by_host.append(tuple(chance.choice(["", "*."]) + label for label in labels))
    for number, values in enumerate(by_host):
        await lab.rule(listener, number + 1, [hosts(*values)], fixed(200, f"host {number}"))
    for number, values in enumerate(by_path):
        await lab.rule(listener, number + 101, [paths(*values)], fixed(200, f"path {number}"))
    await lab.settled()

    def expected(host: str, path: str) -> str:
        for number, values in enumerate(by_host):
            if any(host.endswith(value[1:]) if value[0] == "*" else host == value for value in values):
                return f"host {number}"
        for number, values in enumerate(by_path):
            if any(path.startswith(value[:-1]) if value[-1] == "*" else path == value for value in values):
                return f"path {number}"
        return "default"

    client = await Client.connect(lab.address(), lab.port)
    for _ in range(300):
        host = ".".join(chance.choices(["a", "b", "c", ""], k=chance.randint(1, 4))) + chance.choice([".com", "", ".org"])
        path = "/" + "".join(chance.choices("/ab", k=chance.randint(0, 6)))
        answer = await client.request(path, host=host or "x")
        assert answer.body.decode() == expected(host or "x", path), (host, path)
    await client.close()


class Echo(Upstream):
    """Says its head at once, then gives back every byte as it comes."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.heads: list[bytes] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"ELB-HealthChecker" in head:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            self.heads.append(head)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while piece := await reader.read(65_536):
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()


async def echoing(lab: Lab, **attributes: str) -> Echo:
    echo = Echo("echo")
    await echo.open()
    lab.upstreams.append(echo)
    lb, group = await lab.load_balancer(**attributes), await lab.group()
    await lab.register(group, echo)
    await lab.listener(lb, forward(group))
    await lab.healthy(group, echo)
    await lab.settled()
    return echo


async def test_bodies_pass_both_ways_while_they_come(lab: Lab) -> None:
    await echoing(lab)
    reader, writer = await asyncio.open_connection(lab.address(), lab.port)
    writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
    async with asyncio.timeout(10):
        assert status(await reader.readuntil(b"\r\n\r\n")) == 200, "the answer begins before the body has"
        for word in (b"one", b"two", b"three"):
            writer.write(b"%x\r\n%s\r\n" % (len(word), word))
            assert word in await reader.readuntil(word), "each piece comes back before the next one is sent"
    writer.close()


async def test_a_body_of_any_size_passes(lab: Lab) -> None:
    await echoing(lab)
    size = 24 * 1024 * 1024
    reader, writer = await asyncio.open_connection(lab.address(), lab.port)
    writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % size)

    async def send() -> None:
        for _ in range(size // 65_536):
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with asyncio.timeout(30):
        sending = asyncio.create_task(send())
        await reader.readuntil(b"\r\n\r\n")
        came = 0
        while came < size:
            came += (await reader.read(1 << 20)).count(b"x")
        await sending
    writer.close()


async def test_a_head_that_never_ends_is_given_up(lab: Lab) -> None:
    one = await serving(lab, idle_timeout__timeout_seconds="1")
    reader, writer = await asyncio.open_connection(lab.address(), lab.port)
    writer.write(b"GET / HTTP/1.1\r\n" + HOST)

    async def trickle() -> None:
        while True:
            writer.write(b"x: y\r\n")
            await asyncio.sleep(0.05)

    trickling = asyncio.create_task(trickle())
    try:
        async with asyncio.timeout(10):
            assert status(await reader.readuntil(b"\r\n\r\n")) == 408
    finally:
        trickling.cancel()
        writer.close()
    assert one.asked == []


async def test_an_answer_that_does_not_come_is_504(lab: Lab) -> None:
    one = await serving(lab, idle_timeout__timeout_seconds="1")
    answer = await lab.ask("/hold")
    assert answer.status == 504 and b"<center><h1>504 Gateway Time-out</h1></center>" in answer.body
    assert answer.header("server") == "awselb/2.0" and one.asked == ["/hold"]


async def test_connections_end_after_their_time(lab: Lab) -> None:
    await serving(lab, client_keep_alive__seconds="2")  # of a clock in whole seconds; the API asks for a minute at least
    client = await Client.connect(lab.address(), lab.port)
    begun = asyncio.get_running_loop().time()
    while True:
        answer = await client.request()
        if answer.header("connection") == "close":
            break
        assert asyncio.get_running_loop().time() - begun < 10
        await asyncio.sleep(0.05)
    assert asyncio.get_running_loop().time() - begun > 0.5
    await client.close()


async def test_a_target_that_speaks_another_version_is_not_asked(lab: Lab) -> None:
    nobody = Upstream("nobody")
    nobody.port = quiet_port()
    lb = await lab.load_balancer()
    groups = [await lab.group(version.lower(), protocol_version=version) for version in ("HTTP2", "GRPC")]
    listener = await lab.listener(lb, fixed(404))
    for number, group in enumerate(groups, 1):
        await lab.register(group, nobody)
        await lab.rule(listener, number, [paths(f"/{group.name}")], forward(group))
    await lab.settled()
    for group in groups:
        assert (await lab.ask(f"/{group.name}")).status == 464, "and not 502, which is what asking it comes to"


async def test_what_a_client_and_a_target_send_cannot_become_something_else(lab: Lab) -> None:
    echo = await echoing(lab)
    odd = [b"caf\xc3\xa9", b"\xff\xfe", b"a\tb", b"${HOME} %[src] 'x' \"y\" \\z", b"a;b,c=d"]
    for value in odd:
        head = await said(lab, b"GET /%s HTTP/1.1\r\nHost: %s\r\nX-Odd: %s\r\n\r\n" % (b"p%00%2e?%s", b"h\xff.test", value))
        assert status(head) == 200
        assert b"x-odd: " + value + b"\r\n" in echo.heads[-1] and echo.heads[-1].startswith(b"GET /p%00%2e?%s HTTP/1.1\r\n")
        assert b"host: h\xff.test:%d\r\n" % lab.port in echo.heads[-1]

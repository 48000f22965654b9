"""The matcher and HAProxy agree: rules and requests at random, asked of both."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, event, given, note, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.aws.errors import AwsError
from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.binds import Binds
from longshore.balancer.render.configuration import render
from longshore.balancer.render.places import Places
from longshore.balancer.snapshot import Pool, Snapshot
from longshore.services.elbv2.conditions import checked_conditions
from longshore.services.elbv2.matching import Request, changed, match, redirected
from longshore.services.elbv2.model import Rule
from longshore.services.elbv2.transforms import checked_transforms
from tests.balancer import cases
from tests.balancer.lab import fixed, quiet_port

pytestmark = pytest.mark.engine("haproxy")

#: a smaller batch is another HAProxy: what fails is told by its request and rules
PHASES = (Phase.explicit, Phase.generate)

_numbers = itertools.count(os.getpid())
SOURCES = ("127.0.0.1", "127.0.0.9", "127.1.2.3")

letters = "aAbB"


def patterns(alphabet: str) -> st.SearchStrategy[str]:
    pieces = st.sampled_from([*alphabet, "*", "*", "?", "\\*", "\\?", "\\\\", "ab", "b"])
    return st.lists(pieces, min_size=1, max_size=7).map("".join)


def regexes(alphabet: str) -> st.SearchStrategy[str]:
    atoms = st.sampled_from(
        [*alphabet.replace("\\", ""), ".", "[ab]", "[^a]", r"\.", r"\d", r"\w", "a*", "b+", "(a|b)", "(ab)?", "a{2}", ".*", "(?:b|)"]
    )
    whole = st.lists(atoms, min_size=1, max_size=5).map("".join)
    return st.builds(lambda begin, text, end: f"{begin}{text}{end}", st.sampled_from(["", "^", "(?i)"]), whole, st.sampled_from(["", "$"]))


def texts(alphabet: str, most: int = 8) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from([*alphabet, "ab", "b"]), max_size=most).map("".join)


@st.composite
def conditions(draw: st.DrawFn) -> shapes.RuleCondition:
    field = draw(st.sampled_from(["host-header", "path-pattern", "http-header", "http-request-method", "query-string", "source-ip"]))
    few = {"min_size": 1, "max_size": 3}
    use_regex = draw(st.integers(0, 3)) == 0
    match field:
        case "host-header":
            host = patterns("ab.-").map(lambda text: f"{text.replace(chr(92), '')}.{'ab'[len(text) % 2]}")
            host = st.one_of(host, st.sampled_from(["a.b", "*.b", "*.a.b", "b.a.b", "*.a", "A.B"]))
            values, found = (None, draw(st.lists(regexes("ab.:"), **few))) if use_regex else (draw(st.lists(host, **few)), None)
            config = shapes.HostHeaderConditionConfig(values=_some(values), regex_values=_some(found))
            return shapes.RuleCondition(field=field, host_header_config=config)
        case "path-pattern":
            path = st.one_of(
                patterns("ab/.-%$~").map(lambda text: f"/{text.replace(chr(92), '')}"), st.sampled_from(["/a", "/a/*", "/*", "/ab*", "*"])
            )
            values, found = (None, draw(st.lists(regexes("ab/%"), **few))) if use_regex else (draw(st.lists(path, **few)), None)
            return shapes.RuleCondition(
                field=field, path_pattern_config=shapes.PathPatternConditionConfig(values=_some(values), regex_values=_some(found))
            )
        case "http-header":
            name = draw(st.sampled_from(["X-One", "x-two", "User-Agent", "Cookie"]))
            text = patterns("ab ,;='\"%[]{}#$")
            values, found = (None, draw(st.lists(regexes("ab ,"), **few))) if use_regex else (draw(st.lists(text, **few)), None)
            config = shapes.HttpHeaderConditionConfig(http_header_name=name, values=_some(values), regex_values=_some(found))
            return shapes.RuleCondition(field=field, http_header_config=config)
        case "http-request-method":
            methods = draw(st.lists(st.sampled_from(["GET", "POST", "PATCH", "A_B", "GE"]), **few))
            return shapes.RuleCondition(
                field=field, http_request_method_config=shapes.HttpRequestMethodConditionConfig(values=tuple(methods))
            )
        case "query-string":
            pair = st.builds(
                lambda key, value: shapes.QueryStringKeyValuePair(key=key, value=value), st.none() | patterns("ab=%"), patterns("ab=&%+")
            )
            return shapes.RuleCondition(
                field=field, query_string_config=shapes.QueryStringConditionConfig(values=tuple(draw(st.lists(pair, **few))))
            )
    networks = st.sampled_from(["127.0.0.0/8", "127.0.0.0/29", "127.0.0.9/32", "127.1.0.0/16", "10.0.0.0/8", "::1/128", "127.0.0.9/31"])
    return shapes.RuleCondition(
        field="source-ip", source_ip_config=shapes.SourceIpConditionConfig(values=tuple(draw(st.lists(networks, **few))))
    )


def _some(values: list[str] | None) -> tuple[str, ...] | None:
    return tuple(values) if values else None


def accepted(given: list[shapes.RuleCondition]) -> tuple[shapes.RuleCondition, ...]:
    """Those of them that the API takes together."""
    taken: tuple[shapes.RuleCondition, ...] = ()
    for condition in given:
        with contextlib.suppress(AwsError):
            taken = checked_conditions([*taken, condition])
    return taken


#: most are about one thing, as rules that are looked up together are
rule_sets = st.lists(
    st.one_of(st.lists(conditions(), min_size=1, max_size=1), st.lists(conditions(), min_size=1, max_size=3)).map(accepted).filter(bool),
    min_size=1,
    max_size=8,
)

host_texts = st.one_of(
    texts("ab.-", 5),
    st.sampled_from(["a.b", "A.b:80", "b.a.b", "a.a.b", ".b", "a.b:", "[::1]:80", "a.b:8x", "a.b, b.a", "a.b.", "127.0.0.1"]),
)
requests = st.builds(
    lambda method, path, query, host, headers, source: Request(method, f"/{path}", query, (("Host", host), *headers), source),
    st.sampled_from(["GET", "GET", "POST", "PATCH", "A_B", "OPTIONS", "get"]),
    texts("ab/.-%$~?".replace("?", "")),
    st.none() | texts("ab=&%+?"),
    host_texts,
    st.lists(st.tuples(st.sampled_from(["X-One", "x-one", "X-Two", "Cookie", "user-agent"]), texts("ab ,;='\"%[]é", 6)), max_size=3),
    st.sampled_from(SOURCES),
)


class Proxy:
    """HAProxy with a listener per set of rules, which says the priority of the one that was chosen."""

    def __init__(self, directory: str, sets: list[tuple[Rule, ...]], *pools: Pool) -> None:
        number = next(_numbers)
        port = quiet_port()
        self.places: list[tuple[str, int]] = []
        fronts = []
        for slot, rules in enumerate(sets, 1):
            address = f"127.{100 + number // 250 % 100}.{number % 250}.{slot}"
            self.places.append((address, port))
            fronts.append(cases.front(fixed(200, "default"), slot=slot, port=port, rules=rules, address=address))
        places = Places(directory)
        rendering = render(Snapshot(fronts=tuple(fronts), pools=pools), Binds(), places, "secret")
        assert rendering.refused == {}
        Path(places.bodies).mkdir(exist_ok=True)
        for path, content in rendering.files.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(content)
        Path(places.states).write_text("1\n")
        Path(places.config).write_text(rendering.text)
        self._process = subprocess.Popen(
            [shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "haproxy", "-db", "-f", places.config],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, number: int, asked: list[Request]) -> list[tuple[int, dict[str, str], str]]:
        """(status, headers, body) of each; a connection per source address."""
        connections: dict[str, socket.socket] = {}
        answers = []
        for request in asked:
            connection = connections.pop(request.source_ip, None) or self._connected(number, request.source_ip)
            target = request.path if request.query is None else f"{request.path}?{request.query}"
            lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers), "", ""]
            connection.sendall("\r\n".join(lines).encode())
            answers.append(_answer(connection))
            if answers[-1][0] == 200:
                connections[request.source_ip] = connection
            else:
                connection.close()
        for connection in connections.values():
            connection.close()
        return answers

    def _connected(self, number: int, source: str) -> socket.socket:
        deadline = time.monotonic() + 10
        while True:
            connection = socket.socket()
            connection.bind((source, 0))
            try:
                connection.connect(self.places[number])
                connection.settimeout(10)
                return connection
            except OSError:
                connection.close()
                assert self._process.poll() is None, (self._process.communicate()[1] or b"").decode()
                assert time.monotonic() < deadline


def _answer(connection: socket.socket) -> tuple[int, dict[str, str], str]:
    content = b""
    while b"\r\n\r\n" not in content:
        piece = connection.recv(65_536)
        assert piece, content
        content += piece
    head, _, body = content.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65_536)
    return int(first.split()[1]), headers, body.decode()


@contextlib.contextmanager
def proxy(sets: list[tuple[Rule, ...]], *pools: Pool) -> Iterator[Proxy]:
    with tempfile.TemporaryDirectory() as directory:
        made = Proxy(directory, sets, *pools)
        try:
            yield made
        finally:
            made.close()


def ruled(sets: list[tuple[shapes.RuleCondition, ...]], *actions: shapes.Action) -> tuple[Rule, ...]:
    return tuple(
        replace(
            cases.rule(number * 10, *conditions, action=fixed(200, f"rule {number * 10}")),
            actions=actions or (fixed(200, f"rule {number * 10}"),),
        )
        for number, conditions in enumerate(sets, 1)
    )


@settings(max_examples=8, phases=PHASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(rule_sets, st.lists(requests, min_size=5, max_size=25)), min_size=6, max_size=14))
def test_the_matcher_and_haproxy_choose_the_same_rule(batch: list[tuple[list[tuple[shapes.RuleCondition, ...]], list[Request]]]) -> None:
    sets = [ruled(rules) for rules, _ in batch]
    with proxy(sets) as running:
        for number, (_, asked) in enumerate(batch):
            for request, (status, _, said) in zip(asked, running.ask(number, asked), strict=True):
                if status != 200:  # which no rule has a say in
                    event(f"status {status}")
                    continue
                outcome = match(sets[number], request)
                if not outcome.is_certain:
                    event("uncertain")
                    continue
                expected = f"rule {outcome.chosen.rule.priority}" if outcome.chosen else "default"
                event("default" if expected == "default" else "a rule")
                note(f"{request}\n{[rule.conditions for rule in sets[number]]}")
                assert said == expected, (request, [(rule.priority, rule.conditions) for rule in sets[number]])


texts_of_redirects = st.lists(st.sampled_from(["a", "/b", "#{host}", "#{path}", "#{port}", "%", "x.y", "-"]), max_size=4).map("".join)


def redirecting(protocol: str | None, host: str | None, port: str | None, path: str | None, query: str | None) -> shapes.Action:
    config = shapes.RedirectActionConfig(protocol=protocol, host=host, port=port, path=path, query=query, status_code="HTTP_302")
    return shapes.Action(type="redirect", redirect_config=config)


redirects = st.builds(
    redirecting,
    st.sampled_from([None, "HTTPS", "#{protocol}"]),
    st.none() | st.sampled_from(["other.test", "www.#{host}"]),
    st.none() | st.sampled_from(["443", "#{port}"]),
    st.none() | texts_of_redirects.map(lambda text: f"/{text}"),
    st.none() | st.sampled_from(["", "#{query}", "from=#{host}&#{query}", "p=#{protocol}&x=%20#{path}"]),
)


@settings(max_examples=6, phases=PHASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(redirects, st.lists(requests, min_size=3, max_size=12)), min_size=10, max_size=14))
def test_redirects_lead_where_the_matcher_says(batch: list[tuple[shapes.Action, list[Request]]]) -> None:
    everything = shapes.RuleCondition(field="path-pattern", path_pattern_config=shapes.PathPatternConditionConfig(values=("*",)))
    sets = [ruled([(everything,)], action) for action, _ in batch]
    with proxy(sets) as running:
        for number, (action, asked) in enumerate(batch):
            config = action.redirect_config
            assert config is not None
            for request, (status, headers, _) in zip(asked, running.ask(number, asked), strict=True):
                event(f"status {status}")
                if status == 302:
                    assert headers["location"] == redirected(config, request, "HTTP", running.places[number][1]), request


class Echo(http.server.BaseHTTPRequestHandler):
    """Says which path and host it was asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"{self.requestline.split()[1]}\n{self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """The port of a server that echoes."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def rewrites(alphabet: str, replacements: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[shapes.RewriteConfig, ...]]:
    return st.builds(lambda regex, replace: (shapes.RewriteConfig(regex=regex, replace=replace),), regexes(alphabet), replacements)


url_replacements = st.lists(st.sampled_from(["/", "a", "$0", "$1", "$$", "?x=", "%20", "\\", "&"]), max_size=4).map("".join)
host_replacements = st.lists(st.sampled_from(["a", ".", "$0", "$1", "b-", ":80"]), max_size=4).map("".join)
url_rewrites = rewrites("ab/.%?", url_replacements).map(
    lambda found: shapes.RuleTransform(type="url-rewrite", url_rewrite_config=shapes.UrlRewriteConfig(rewrites=found))
)
host_rewrites = rewrites("ab.-", host_replacements).map(
    lambda found: shapes.RuleTransform(
        type="host-header-rewrite", host_header_rewrite_config=shapes.HostHeaderRewriteConfig(rewrites=found)
    )
)
plain_requests = st.builds(
    lambda path, query, host: Request("GET", f"/{path}", query, (("Host", host),), "127.0.0.1"),
    texts("ab/.-%"),
    st.none() | texts("ab=&%/"),
    st.sampled_from(["a.b", "A.b:80", "b.a.b", "ab.ab", "a-b.a"]),
)


@settings(max_examples=3, phases=PHASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    batch=st.lists(
        st.tuples(st.lists(url_rewrites | host_rewrites, min_size=1, max_size=2), st.lists(plain_requests, min_size=3, max_size=10)),
        min_size=8,
        max_size=12,
    )
)
def test_targets_see_what_the_matcher_makes_of_a_request(batch: list[tuple[list[shapes.RuleTransform], list[Request]]], echo: int) -> None:
    everything = shapes.RuleCondition(field="path-pattern", path_pattern_config=shapes.PathPatternConditionConfig(values=("*",)))
    taken: list[tuple[shapes.RuleTransform, ...]] = []
    for transforms, _ in batch:
        kept: tuple[shapes.RuleTransform, ...] = ()
        for transform in transforms:
            with contextlib.suppress(AwsError):
                kept = checked_transforms([*kept, transform])
        taken.append(kept)
    sets = [(replace(cases.rule(10, everything), transforms=transforms),) for transforms in taken]
    pool = cases.pool(cases.target(f"127.0.0.1:{echo}"))
    with proxy(sets, pool) as running:
        for number, (_, asked) in enumerate(batch):
            for request, (status, _, said) in zip(asked, running.ask(number, asked), strict=True):
                expected = changed(taken[number], request, running.places[number][1])
                event(f"status {status}")
                if status == 200:
                    assert said == f"{expected.url}\n{expected.host}", (request, taken[number])
                    assert not expected.failure
                else:
                    assert expected.failure, (request, taken[number], status)

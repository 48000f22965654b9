"""Which rule a request would meet, and why none of the others: what the data plane does, told without it.

A request is matched as HAProxy matches it by the rules we render (balancer/render/conditions.py), octet by octet; that the two
agree is tried with rules and requests at random. Patterns are matched without going back, whatever clients have written into
them: an expression that RE2 does not take can be neither confirmed nor denied, and says so. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network

import msgspec
import re2

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.model import Rule

_TOKEN = re.compile(r"\\[*?\\]|.", re.DOTALL)
_MOST_REMEMBERED = 512
_MOST_MEMORY = 8 << 20
_GROUP = re.compile(r"\$(\d)|\$\$")
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]+")


class Request(msgspec.Struct, frozen=True):
    """A request as a client sends it."""

    method: str
    #: of the URL, undecoded
    path: str
    #: what stands behind the `?`; None where there is none
    query: str | None
    #: (name, value) in their order, Host among them
    headers: tuple[tuple[str, str], ...]
    source_ip: str

    def values(self, name: str) -> list[str]:
        """Of every header of that name."""
        return [value.strip(" \t") for known, value in self.headers if known.lower() == name.lower()]

    @property
    def host(self) -> str | None:
        """As rules see it: the last of several, without port, in small letters."""
        given = self.values("host")
        if not given:
            return None
        last = given[-1].rpartition(",")[2].strip(" \t")
        return without_port(last).translate(_SMALL)


#: only letters of ASCII have two cases
_SMALL = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def without_port(host: str) -> str:
    """Without what stands behind the last colon, unless that is one of an IPv6 address."""
    before, colon, behind = host.rpartition(":")
    return before if colon and "]" not in behind else host


class Judged(msgspec.Struct, frozen=True):
    """A condition and whether it holds; None where that cannot be told."""

    condition: shapes.RuleCondition
    holds: bool | None
    #: the value that does, or what the request has instead
    reason: str


class Tried(msgspec.Struct, frozen=True):
    """A rule and why it is, or is not, the one."""

    rule: Rule
    conditions: tuple[Judged, ...]

    @property
    def holds(self) -> bool | None:
        if any(judged.holds is False for judged in self.conditions):
            return False
        return None if any(judged.holds is None for judged in self.conditions) else True


class Match(msgspec.Struct, frozen=True):
    """All rules in order. `chosen` is None for the default rule."""

    tried: tuple[Tried, ...]
    chosen: Tried | None
    #: whether nothing before it, or of it, was undecided
    is_certain: bool


def match(rules: Iterable[Rule], request: Request) -> Match:
    tried = tuple(Tried(rule, tuple(_judge(condition, request) for condition in rule.conditions)) for rule in _in_order(rules))
    chosen = next((one for one in tried if one.holds is not False), None)
    return Match(tried, chosen, chosen is None or chosen.holds is True)


def _in_order(rules: Iterable[Rule]) -> list[Rule]:
    return sorted(rules, key=lambda rule: rule.priority)


def _judge(condition: shapes.RuleCondition, request: Request) -> Judged:
    match condition:
        case shapes.RuleCondition(host_header_config=shapes.HostHeaderConditionConfig() as host):
            return _texts(condition, [] if request.host is None else [request.host], host.values, host.regex_values, ignore_case=True)
        case shapes.RuleCondition(path_pattern_config=shapes.PathPatternConditionConfig() as path):
            return _texts(condition, [request.path], path.values, path.regex_values, ignore_case=False)
        case shapes.RuleCondition(http_header_config=shapes.HttpHeaderConditionConfig() as header):
            given = request.values(header.http_header_name or "")
            return _texts(condition, given, header.values, header.regex_values, ignore_case=True)
        case shapes.RuleCondition(http_request_method_config=shapes.HttpRequestMethodConditionConfig() as method):
            return _said(condition, next((value for value in method.values or () if value == request.method), None), request.method)
        case shapes.RuleCondition(query_string_config=shapes.QueryStringConditionConfig() as query):
            return _pairs(condition, query.values or (), request.query)
        case shapes.RuleCondition(source_ip_config=shapes.SourceIpConditionConfig() as source):
            return _said(condition, _network_of(request.source_ip, source.values or ()), request.source_ip)
    return Judged(condition, None, "a condition that is not known here")


def _said(condition: shapes.RuleCondition, found: str | None, given: str) -> Judged:
    return Judged(condition, found is not None, found if found is not None else given)


def _texts(
    condition: shapes.RuleCondition,
    given: Sequence[str],
    values: tuple[str, ...] | None,
    regexes: tuple[str, ...] | None,
    *,
    ignore_case: bool,
) -> Judged:
    """Any value against any text."""
    if not given:
        return Judged(condition, False, "the request has none")
    undecided = ""
    patterns = [(value, f"^{_glob(value, '(?s:.)')}$") for value in values or ()] + [(regex, regex) for regex in regexes or ()]
    for value, pattern in patterns:
        holds = _found(pattern, given, ignore_case=ignore_case)
        if holds:
            return Judged(condition, True, value)
        undecided = undecided or (value if holds is None else "")
    if undecided:
        return Judged(condition, None, f"{undecided} is beyond what can be told here")
    return Judged(condition, False, ", ".join(given))


def _pairs(condition: shapes.RuleCondition, pairs: Sequence[shapes.QueryStringKeyValuePair], query: str | None) -> Judged:
    if query is None:
        return Judged(condition, False, "the request has none")
    for pair in pairs:
        key = "([^&=]*=)?" if pair.key is None else f"{_glob(pair.key, '[^&=]')}="
        if _found(f"(^|&){key}{_glob(pair.value or '', '[^&]')}(&|$)", [query], ignore_case=True):
            return Judged(condition, True, f"{'' if pair.key is None else pair.key + '='}{pair.value or ''}")
    return Judged(condition, False, query)


def _network_of(address: str, networks: Iterable[str]) -> str | None:
    known = ip_address(address)
    return next((network for network in networks if known in ip_network(network, strict=False)), None)


def _glob(value: str, character: str) -> str:
    """`*` is any number of `character`, `?` is one; `\\*`, `\\?` and `\\\\` stand for themselves."""
    parts = []
    for token in _TOKEN.findall(value):
        parts.append(f"{character}*" if token == "*" else character if token == "?" else re2.escape(token[-1]))
    return "".join(parts)


def _found(pattern: str, texts: Iterable[str], *, ignore_case: bool) -> bool | None:
    """Whether the pattern is found in any of them; None where RE2 does not take it."""
    compiled = _compiled(pattern, ignore_case)
    if compiled is None:
        return None
    return any(compiled.search(octets(text)) is not None for text in texts)


@lru_cache(_MOST_REMEMBERED)
def _compiled(pattern: str, ignore_case: bool) -> re2._Regexp[bytes] | None:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = not ignore_case
    options.max_mem = _MOST_MEMORY
    options.log_errors = False
    try:
        return re2.compile(octets(pattern), options)
    except re2.error:
        return None


def octets(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


# ── what becomes of a request that was chosen for a rule ──


class Changed(msgspec.Struct, frozen=True):
    """What a target sees after the rule's transforms."""

    host: str
    #: path and query
    url: str
    #: why the load balancer answers 500 instead; empty where it does not
    failure: str = ""


def host_for_targets(host: str, port: int, *, is_preserved: bool) -> str:
    """The Host header on its way to a target: it names the listener's port, where that is not the usual one."""
    bare = without_port(host)
    given = host[len(bare) + 1 :]
    has_port = given.isascii() and given.isdecimal() and int(given) > 0
    if is_preserved or not host:
        return host
    if port in (80, 443):
        return bare if has_port else host
    return host if has_port else f"{host}:{port}"


def changed(transforms: Iterable[shapes.RuleTransform], request: Request, port: int, *, is_preserved: bool = False) -> Changed:
    """The first place that an expression finds is replaced, as often as there are transforms: each has one rewrite.

    `port` is the listener's; `is_preserved` is the load balancer's routing.http.preserve_host_header.enabled.
    """
    host = host_for_targets(request.values("host")[-1] if request.values("host") else "", port, is_preserved=is_preserved)
    url = request.path if request.query is None else f"{request.path}?{request.query}"
    for transform in transforms:
        if transform.host_header_rewrite_config is not None:
            for rewrite in transform.host_header_rewrite_config.rewrites or ():
                # The name without its port, in small letters; one in which nothing is found stays as it was.
                name = without_port(host).translate(_SMALL)
                if _found(rewrite.regex, [name], ignore_case=True):
                    host = _rewritten(name, rewrite, ignore_case=True)
            if not _HOST.fullmatch(host):
                return Changed(host, url, "the host header that the transform makes is none")
        if transform.url_rewrite_config is not None:
            for rewrite in transform.url_rewrite_config.rewrites or ():
                url = _rewritten(url, rewrite, ignore_case=False)
            if not url.startswith("/"):
                return Changed(host, url, "what the transform makes of the URL does not begin with a slash")
    return Changed(host, url)


def _rewritten(text: str, rewrite: shapes.RewriteConfig, *, ignore_case: bool) -> str:
    compiled = _compiled(rewrite.regex, ignore_case)
    found = compiled.search(octets(text)) if compiled is not None else None
    if found is None:
        return text

    def put(group: re.Match[str]) -> str:
        return _text(found.group(int(group[1])) or b"") if group[1] else "$"

    whole = octets(text)
    return _text(whole[: found.start()]) + _GROUP.sub(put, rewrite.replace) + _text(whole[found.end() :])


def _text(content: bytes) -> str:
    return content.decode(errors="surrogateescape")


_PLACEHOLDER = re.compile(r"#\{(protocol|host|port|path|query)\}")


def redirected(config: shapes.RedirectActionConfig, request: Request, protocol: str, port: int) -> str:
    """Where a redirect leads. `protocol` and `port` are the listener's."""
    known = {
        "protocol": protocol.lower(),
        "host": request.host or "",
        "port": str(port),
        "path": request.path[1:],
        "query": request.query or "",
    }

    def filled(text: str) -> str:
        return _PLACEHOLDER.sub(lambda found: known[found[1]], text)

    place = filled((config.protocol or "#{protocol}").lower()) + "://" + filled(config.host or "#{host}")
    place += ":" + filled(config.port or "#{port}") + filled(config.path or "/#{path}")
    query = "#{query}" if config.query is None else config.query
    if not query or (query == "#{query}" and not request.query):
        return place
    return f"{place}?{filled(query)}"

"""What nobody should send: values of every wrong kind, and requests of every operation with some of them in it."""

from __future__ import annotations

import copy
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from botocore.model import Shape
from hypothesis import strategies as st

from tests.sweeps.installation import OWNER, REGION, House, operation_model, protocol_of, written
from tests.sweeps.samples import sample

FOREIGN = "999999999999"
_DEEPEST = 6

STRINGS: tuple[str, ...] = (
    # nothing, and what looks like nothing
    *("", " ", "\t", "null", "None", "undefined", "-", "*", "?", "."),
    # paths
    *("../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc", "..%252f..", "/", "//", "a/../b", "C:\\x", "\\", "file:///etc/passwd"),
    # control characters and what else XML, JSON, headers and logs mind
    *("\x00", "a\x00b", "\x01\x1f\x7f", "\r\nX-Injected: 1\r\n\r\n", "line\nline", "\u2028", "\ufffe\uffff", "\ufeffx", "</Error>", "&#0;"),
    *("]]>", "'\"<>&", "${aws:username}", "%s%n{0}", "$(id)", "`id`", "'; DROP TABLE object;--"),
    # letters and digits of elsewhere
    *("é", "ﬁ", "１２", "²", "٣", "\U0001f600", "İ", "ß", "a\u0301", "\u202e"),
    # numbers
    *("-1", "0", "00", "+1", "1.5", "1e400", "nan", "inf", "-inf", "0x10", "1_000", "9" * 18, "9" * 400, "9" * 5000, "-" + "9" * 30),
    *("65536", "2147483648", "true", "TRUE", "1 "),
    # too long
    *("a" * 129, "a" * 256, "a" * 1025, "a" * 70_000, "é" * 300, "a-" * 200, "/" * 3000, "a:" * 3000),
    # ARNs of others, and things like ARNs
    *("arn:", "arn:::::", "arn:aws:ecs:::", "arn:aws:s3:::bucket", f"arn:aws:ecs:{REGION}:{FOREIGN}:cluster/main"),
    *(f"arn:aws:ecs:eu-west-1:{OWNER}:cluster/main", f"arn:aws-cn:ecs:{REGION}:{OWNER}:cluster/main"),
    *(f"arn:aws:ecs:{REGION}:{OWNER}:task-definition/web:99999999999", f"arn:aws:ecs:{REGION}:{OWNER}:task-definition/"),
    *(f"arn:aws:ecs:{REGION}:{OWNER}:service/../main/site", f"arn:aws:ecs:{REGION}:{OWNER}:" + "x/" * 2000),
    *(f"arn:aws:ecr:{REGION}:{FOREIGN}:repository/app/web", f"arn:aws:iam::{FOREIGN}:policy/x", f"arn:aws:iam::{OWNER}:role/x"),
    *(f"arn:aws:elasticloadbalancing:{REGION}:{FOREIGN}:loadbalancer/app/web/0123456789abcdef", "arn:aws:iam::aws:policy/x"),
    *(f"arn:aws:elasticloadbalancing:{REGION}:{OWNER}:{type}/app/web/1" for type in ("loadbalancer", "targetgroup", "listener", "rule")),
    *(f"arn:aws:ecs:{REGION}:{'1' * 12}\n:cluster/x", "urn:x"),
    # ids and addresses
    *("vpc-", "vpc-zzzzzzzz", "sg-00000000000000000", "i-0", "subnet-é", "sgr-" + "0" * 17, FOREIGN, OWNER),
    *("10.0.0.0/8", "0.0.0.0/0", "10.0.0.0/33", "10.0.0.0/-1", "::/0", "::1/129"),
    *("1.2.3.4", "1.2.3.4.5", "10.0.0.0/8/8", "010.1.1.1", "fe80::1%eth0"),
    # languages read inside values: expressions, policies, manifests, patterns, times
    *("attribute:a == b", "attribute:", "(" * 5000, "not " * 5000, "attribute:x in [", "attribute:x =~ (((((a*)*)*)*)*$", "a and " * 3000),
    *("{", "[" * 5000, '{"a":' * 5000, "{}", "[]", "1", '"x"', '{"Version":"2012-10-17","Statement":[]}', '{"schemaVersion":2}'),
    *('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":[1],"Resource":{}}}', '{"Statement":[null]}', '{"Statement":[[]]}'),
    *('{"schemaVersion":2,"layers":{},"config":[]}', '{"schemaVersion":2,"manifests":[1]}', '{"instanceId":1,"privateIp":[]}'),
    *("2020-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
    *("2020-13-45", "1e18", "sha256:" + "0" * 64, "sha256:x"),
    *("tcp", "all", "-1", "HTTP", "TCP_UDP", "GENEVE", "forward", "path-pattern", "host-header", "spread", "memberOf", "ipv6", "instance"),
)  # fmt: skip

#: types whose values hold no others
_FLAT = frozenset({"string", "integer", "long", "float", "double", "boolean"})
_WHOLE = [-(2**63), -(2**31), -1, 0, 1, 65535, 65536, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**30]
_texts = st.one_of(st.sampled_from(STRINGS), st.text(max_size=40))
_numbers = st.one_of(
    st.sampled_from([-1, 0, 1, 65536, 2**31 - 1, 2**31, 2**53, 2**63 - 1, -(2**63), 10**30, 1e308, -0.5, 1e-320, 5e18]), st.integers()
)
_scalars = st.one_of(st.none(), st.booleans(), _numbers, _texts)
_values = st.one_of(
    _scalars,
    st.sampled_from([[], {}, [None], [[]], [{}], {"": ""}, {"a": None}, [""] * 300, [{}] * 300, {str(n): "x" for n in range(300)}]),
    st.lists(_scalars, max_size=3),
    st.dictionaries(st.sampled_from(["key", "name", "value", "Key", "Value", "x", "__type"]), _scalars, max_size=3),
)
_BODIES: tuple[bytes, ...] = (
    *(b"", b" ", b"null", b"[]", b"1", b'"x"', b"{", b"{}}", b'{"a":1}x'),
    *(b"\xff\xfe", b"\x00", b"\xef\xbb\xbf{}", b"[" * 100_000, b'{"a":' * 100_000),
    *(b'{"cluster":"\\ud800"}', b'{"cluster":"\xed\xa0\x80"}', b'{"\\u0000":1}'),
    *(b'{"maxResults":1e999}', b'{"maxResults":' + b"9" * 5000 + b"}"),
    *(b"&" * 30_000, b"a=b&" * 30_000, b"=", b"%", b"Action", b"%00=%00"),
    *(b"a.b.c=1", b"a" + b".a" * 5000 + b"=1", b"+" * 1000, b"{}" * 1000),
)  # fmt: skip


@st.composite
def requests(draw: st.DrawFn, house: House, api: str, operation: str) -> tuple[bytes, dict[str, str]]:
    """(body, headers) of a request with one to three bad values, mostly of the right type; or with a body that is none."""
    good = sample(house, api, operation)
    manner = draw(st.sampled_from(["typed"] * 6 + ["wrong", "wrong", "broken"]))
    places = _places_of(api, operation)
    if manner == "broken" or not places:
        body, headers = written(api, operation, good)
        bad = draw(st.one_of(st.sampled_from(_BODIES), st.binary(max_size=60), st.integers(0, len(body)).map(lambda end: body[:end])))
        return (bad if protocol_of(api) == "json" else body + b"&" + bad), headers
    if manner == "typed" or protocol_of(api) == "json":
        for place in draw(st.lists(st.sampled_from(places), min_size=1, max_size=3)):
            good = planted(good, place, draw(_typed_at(house, api, operation, place) if manner == "typed" else _values))
        if protocol_of(api) == "json":
            return json.dumps(good, default=_in_base64).encode(), written(api, operation, {})[1]
        return written(api, operation, good)
    body, headers = written(api, operation, good)
    form = dict(parse_qsl(body.decode(), keep_blank_values=True))
    names = [*_form_names(api, operation), *(name for name in form if name not in ("Action", "Version")), "x", "Filter.é.Name"]
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=3)):
        suffix = draw(st.sampled_from(["", ".1", ".member.1", ".0", ".-1", ".999999999", ".é", ".", ".entry.1.key"]))
        form[name + suffix] = draw(_texts)
    return urlencode(form, quote_via=quote, errors="surrogatepass").encode(), headers


def _in_base64(content: bytes) -> str:
    return b64encode(content).decode()


@cache
def _typed_at(house: House, api: str, operation: str, place: tuple[str | int, ...]) -> st.SearchStrategy[Any]:
    return _typed(_at(operation_model(api, operation).input_shape, place), house)


def _typed(shape: Any, house: House) -> st.SearchStrategy[Any]:
    """Values a client's own checks would let through, more or less."""
    match shape.type_name:
        case "string":
            known = st.sampled_from([*sorted(house.names.values()), "main", "site", "web", "app/web", "bob", "1"])
            return st.one_of(st.sampled_from(shape.enum), _texts) if shape.enum else st.one_of(_texts, known)
        case "integer" | "long":
            return st.one_of(st.sampled_from(_WHOLE), st.integers(-10, 70_000))
        case "float" | "double":
            return st.one_of(st.sampled_from([0.0, -1.0, 1e308, 5e-324]), st.floats(allow_nan=False, allow_infinity=False))
        case "boolean":
            return st.booleans()
        case "timestamp":
            return st.sampled_from([0, -1, 253402300799, 1e9 + 0.123456])
        case "blob":
            return st.binary(max_size=20)
        case "list":
            return st.one_of(st.lists(_typed(shape.member, house), max_size=3), _typed(shape.member, house).map(lambda one: [one] * 60))
        case "map":
            return st.dictionaries(_texts, _typed(shape.value, house), max_size=3)
    members = {name: _typed(member, house) for name, member in shape.members.items() if member.type_name in _FLAT}
    return st.fixed_dictionaries({}, optional=members)


@cache
def _places_of(api: str, operation: str) -> list[tuple[str | int, ...]]:
    return list(_places(operation_model(api, operation).input_shape, ()))


def _places(shape: Shape | None, at: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Where in a request something can stand: members by name, 0 for a list's first item, `key` for a map's value."""
    if shape is None or len(at) > _DEEPEST:
        return
    if at:
        yield at
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from _places(member, (*at, name))
    elif shape.type_name == "list":
        yield from _places(shape.member, (*at, 0))
    elif shape.type_name == "map":
        yield from _places(shape.value, (*at, "key"))


def planted(parameters: Mapping[str, Any], place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """`parameters` with `value` at `place`, and whatever that has to stand in."""
    changed = copy.deepcopy(dict(parameters))
    _plant(changed, place, value)
    return changed


def _plant(within: Any, place: tuple[str | int, ...], value: Any) -> None:
    step, *rest = place
    if rest:
        empty: Any = [] if isinstance(rest[0], int) else {}
        below = within[step] if (isinstance(within, list) and within) or (isinstance(within, dict) and step in within) else empty
        below = below if type(below) is type(empty) else empty
        _plant(below, tuple(rest), value)
        value = below
    if isinstance(within, list):
        within[:1] = [value]
    else:
        within[step] = value


@cache
def _form_names(api: str, operation: str) -> list[str]:
    """The names of everything that could stand in a form of this operation."""
    shape = operation_model(api, operation).input_shape
    everything: dict[str, Any] = {}
    for place in _places(shape, ()):
        everything = planted(everything, place, _plainest(_at(shape, place)))
    body, _ = written(api, operation, everything)
    return [name for name, _ in parse_qsl(body.decode(), keep_blank_values=True) if name not in ("Action", "Version")]


def _at(shape: Any, place: tuple[str | int, ...]) -> Any:
    for step in place:
        shape = shape.member if step == 0 else shape.value if shape.type_name == "map" else shape.members[step]
    return shape


def _plainest(shape: Any) -> Any:
    plain = {"structure": {}, "map": {}, "list": [], "integer": 1, "long": 1, "boolean": True, "timestamp": 0, "blob": b""}
    return plain.get(shape.type_name, "x")

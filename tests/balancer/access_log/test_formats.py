"""AWS's lines out of raw ones: field by field, whatever kind of load balancer, and whatever clients send."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.balancer.access_log import formats
from longshore.balancer.access_log.layout import Unplaceable, path_of
from longshore.balancer.access_log.legend import CertificateLegend, GroupLegend, Legend, Place, decoded, encoded
from longshore.balancer.access_log.line import Malformed, parsed
from longshore.services.elbv2.buckets import is_bucket, is_prefix

_PREFIX = "arn:aws:elasticloadbalancing:us-east-1:123456789012:"
LEGEND = Legend(
    load_balancer_arn=f"{_PREFIX}loadbalancer/app/my-lb/50dc6c495c0c9188",
    load_balancer_name="my-lb",
    type="application",
    listener_arn=f"{_PREFIX}listener/app/my-lb/50dc6c495c0c9188/f2f7dc8efc522ab2",
    protocol="HTTPS",
    port=443,
    address="127.0.2.1",
    access_logs=Place("logs"),
    connection_logs=Place("logs"),
    rules={"0": ("forward",), "1": ("authenticate-oidc", "forward"), "2": ("fixed-response",)},
    groups={"tg-a-1": GroupLegend(f"{_PREFIX}targetgroup/a/1"), "tg-g-2": GroupLegend(f"{_PREFIX}targetgroup/g/2", "GRPC")},
    certificates=(CertificateLegend("arn:default", ("example.com",)), CertificateLegend("arn:wild", ("*.example.org",))),
)
END_US = 1_530_570_180_186_641


#: what no field ought to be
ODD = (b"", b"-", b"-1", b"9" * 21, b"9" * 18, b"\xff\xfe", b"{|}", b"#FF", b"0|", b'"', b"GET http://[::1 HTTP/1.1", b"1e9", b"\0")


def raw(**more: str) -> bytes:
    """A line of a request as HAProxy writes it."""
    values = {
        "kind": "@R",
        "mark": "0" * 16,
        "pid": "7",
        "lc": "0",
        "end": str(END_US),
        "ci": "192.168.131.39",
        "cp": "2817",
        "ts": "--",
        "U": "34",
        "B": "366",
        "Th": "3",
        "sslv": "TLSv1.2",
        "sslc": "ECDHE-RSA-AES128-GCM-SHA256",
        "resumed": "0",
        "tid": "ab" * 16,
        "b": "tg-a-1",
        "s": "i",
        "si": "10.0.0.1",
        "sp": "80",
        "ST": "200",
        "TR": "86",
        "Tw": "0",
        "Tc": "0",
        "Tr": "48",
        "Ta": "171",
        "r": "0|tg-a-1",
        "first": "1",
        "request": "GET /a?b HTTP/1.1",
        "hr": "{curl/7.46.0|www.example.com||Root=1-58337262-36d228ad5d99923122bbe354|www.example.com||}",
        "hs": "{}",
    } | more
    return "\t".join(values.values()).encode()


def application(legend: Legend = LEGEND, **more: str) -> list[str]:
    line = parsed(raw(**more))
    assert line is not None
    return fields(formats.application_line(line, legend))


def fields(line: str) -> list[str]:
    assert re.fullmatch(r'(?:"[^"]*"|[^" ]+)(?: (?:"[^"]*"|[^" ]+))*', line), line
    return [found.strip('"') for found in re.findall(r'"[^"]*"|[^" ]+', line)]


def test_every_field_of_a_request_stands_where_aws_puts_it() -> None:
    assert application() == [
        *("https", "2018-07-02T22:23:00.186641Z", "app/my-lb/50dc6c495c0c9188", "192.168.131.39:2817", "10.0.0.1:80"),
        *("0.086", "0.048", "0.037", "200", "200", "34", "366", "GET https://www.example.com:443/a?b HTTP/1.1", "curl/7.46.0"),
        *("ECDHE-RSA-AES128-GCM-SHA256", "TLSv1.2", f"{_PREFIX}targetgroup/a/1", "Root=1-58337262-36d228ad5d99923122bbe354"),
        *("www.example.com", "arn:default", "0", "2018-07-02T22:23:00.015641Z", "forward", "-", "-", "10.0.0.1:80", "200", "-", "-"),
        *("TID_" + "ab" * 16, "-", "-", "-", "-"),
    ]


@pytest.mark.parametrize(
    ("more", "type"),
    [
        ({}, "https"),
        ({"request": "GET https://x/ HTTP/2.0"}, "h2"),
        ({"b": "tg-g-2", "request": "POST https://x/ HTTP/2.0"}, "grpcs"),
        ({"ST": "101"}, "wss"),
    ],
)
def test_the_type_says_what_was_spoken(more: dict[str, str], type: str) -> None:
    assert application(**more)[0] == type


@pytest.mark.parametrize(
    ("more", "statuses", "times"),
    [
        ({"ts": "CH", "ST": "400", "Tr": "-1"}, ["460", "-"], ["0.086", "-1", "-1"]),
        ({"ts": "CD", "ST": "-1", "Tr": "-1"}, ["460", "-"], ["0.086", "-1", "-1"]),
        ({"ts": "CD"}, ["200", "200"], ["0.086", "0.048", "0.037"]),
        ({"ts": "sH", "ST": "504", "Tr": "-1"}, ["504", "-"], ["0.086", "-1", "-1"]),
        ({"ts": "SC", "ST": "502", "Tc": "-1", "Tr": "-1"}, ["502", "-"], ["-1", "-1", "-1"]),
        ({"ts": "PH", "ST": "502"}, ["502", "-"], ["0.086", "-1", "-1"]),
        ({"ts": "LR", "ST": "503", "s": "<NOSRV>", "si": "-", "sp": "-", "Tw": "-1", "Tc": "-1", "Tr": "-1"}, ["503", "-"], ["-1"] * 3),
        ({"ST": "503"}, ["503", "503"], ["0.086", "0.048", "0.037"]),
    ],
)
def test_who_ended_a_request_says_whose_status_it_is(more: dict[str, str], statuses: list[str], times: list[str]) -> None:
    line = application(**more)
    assert (line[8:10], line[5:8]) == (statuses, times)


def test_what_is_asked_before_is_executed_before() -> None:
    assert application(r="1|tg-a-1")[22] == "authenticate,forward"
    assert application(r="1|-", s="<NOSRV>", ST="302")[22] == "authenticate"
    assert application(r="-", s="<NOSRV>", ST="400", request="<BADREQ>")[20:23:2] == ["-", "-"]


def test_certificates_are_chosen_by_the_name_asked_for() -> None:
    assert [LEGEND.certificate_for(name) for name in ("EXAMPLE.com", "a.example.org", "a.b.example.org", "")] == [
        *("arn:default", "arn:wild", "arn:default", "arn:default"),
    ]
    assert application(resumed="1")[19] == "session-reused"


def test_a_connection_is_told_once_and_so_is_one_that_failed() -> None:
    line = parsed(raw())
    assert line is not None and line.is_first
    told = fields(formats.connection_line(line, LEGEND))
    assert told[1:6] == ["192.168.131.39", "2817", "443", "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256"]
    assert (told[6], told[10], told[11]) == ("0.003", "Success", "TID_" + "ab" * 16)
    failed = parsed(b"\t".join([b"@F", *raw(sslv="-", sslc="-").split(b"\t")[1:15]]))
    assert failed is not None
    assert fields(formats.connection_line(failed, LEGEND))[10].startswith("Failed:")


def test_network_and_classic_load_balancers_have_forms_of_their_own() -> None:
    connection = b"\t".join(
        [b"@C", *raw(U="98", B="246").split(b"\t")[1:15], *b"tg-a-1\ti\t10.0.0.1\t443\t0\t1\t500\t{x.example.org}".split(b"\t")]
    )
    line = parsed(connection)
    assert line is not None
    network = fields(formats.network_line(line, LEGEND))
    assert len(network) == 22
    assert network[:3] == ["tls", "2.0", "2018-07-02T22:23:00"]
    assert network[5:13] == ["192.168.131.39:2817", "10.0.0.1:443", "500", "3", "98", "246", "-", "arn:wild"]
    assert (network[14], network[15], network[17]) == ("ECDHE-RSA-AES128-GCM-SHA256", "tlsv12", "x.example.org")
    request = parsed(raw())
    assert request is not None
    classic = fields(formats.classic_line(request, LEGEND))
    assert classic[1:11] == ["my-lb", "192.168.131.39:2817", "10.0.0.1:80", "0.086000", "0.048000", "0.037000", "200", "200", "34", "366"]
    assert len(classic) == 15


@given(st.binary(max_size=60))
def test_nothing_a_client_sends_can_end_its_field(content: bytes) -> None:
    word = formats.word(content)
    assert re.fullmatch(r"[\x20\x21\x23-\x7e]*", word)
    assert re.sub(rb"\\x([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), word.encode()) == content


@given(st.binary(max_size=200))
def test_no_line_is_too_odd_to_be_told_from_a_whole_one(content: bytes) -> None:
    for line in (content, b"@R\t" + content, raw()[: len(content)]):
        try:
            parsed(line.replace(b"\n", b""))
        except Malformed:
            continue


@given(
    st.lists(st.tuples(st.integers(0, 28), st.sampled_from(ODD) | st.binary(max_size=9)), max_size=3),
    st.sampled_from((b"@R", b"@C", b"@F")),
)
@example([(4, b"9" * 21)], b"@R")
@example([(24, b"9" * 18)], b"@R")
def test_no_line_is_too_odd_to_be_written(changes: list[tuple[int, bytes]], kind: bytes) -> None:
    """One that raised something else would be come upon again and again, and nothing after it would be written."""
    parts = [kind, *raw().split(b"\t")[1:]]
    for number, content in changes:
        parts[number] = content.replace(b"\n", b"").replace(b"\t", b"")
    try:
        line = parsed(b"\t".join(parts))
    except Malformed:
        return
    if line is not None:
        for legend in (LEGEND, replace(LEGEND, type="classic"), replace(LEGEND, type="network")):
            for write in (formats.application_line, formats.classic_line, formats.network_line, formats.connection_line):
                assert "\n" not in write(line, legend)


def test_legends_are_named_by_their_content() -> None:
    mark, content = encoded(LEGEND)
    assert re.fullmatch(r"[0-9a-f]{16}", mark) and decoded(content) == LEGEND and encoded(decoded(content))[0] == mark


def test_files_lie_where_s3_would_have_them() -> None:
    path = path_of(Place("logs", "a/b"), LEGEND, kind="access", end=END_US / 1e6, node="127.0.2.1", mark="1a2b3c4d")
    folder = "logs/a/b/AWSLogs/123456789012/elasticloadbalancing/us-east-1/2018/07/02/"
    name = "123456789012_elasticloadbalancing_us-east-1_app.my-lb.50dc6c495c0c9188_20180702T2223Z_127.0.2.1_1a2b3c4d.log.gz"
    assert path == folder + name
    connection = path_of(Place("logs"), LEGEND, kind="connection", end=END_US / 1e6, node="127.0.2.1", mark="1a2b3c4d")
    assert connection.rpartition("/")[2] == f"conn_log.{name}"


@pytest.mark.parametrize(
    ("bucket", "prefix"), [("../etc", ""), ("Logs", ""), *(("logs", prefix) for prefix in ("../..", "/a", "a//b", "a/", "xAWSLogs"))]
)
def test_a_bucket_or_prefix_leads_nowhere_else(bucket: str, prefix: str) -> None:
    assert not (is_bucket(bucket) and is_prefix(prefix))
    with pytest.raises(Unplaceable):
        path_of(Place(bucket, prefix), LEGEND, kind="access", end=0, node="n", mark="m")

"""How HAProxy writes down what it has done: one raw line per request, or per connection where it passes on TCP. Pure.

Fields stand between tabs. What a client may have sent stands in the captures alone, where HAProxy writes anything unusual as `#XX`.
`%lc` counts the lines of one frontend in one worker, from 0: who reads them sees whether any is missing. Lines go to descriptor 1,
a file that HAProxy appends to (see access_log/). Load balancers without access logs pay for none of it but errors: these say
which of them were the load balancer's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from longshore.balancer.access_log.legend import Legend, encoded, legend_of
from longshore.balancer.render.places import Places
from longshore.balancer.snapshot import Front
from longshore.services.elbv2.model import TargetGroup

#: a line of a request, of a TCP connection, of a connection that came to nothing
REQUEST, CONNECTION, FAILED = "R", "C", "F"
_LINE_BYTES = 65_535
_AGENT_BYTES = 8192
_COMMON = ("%pid", "%lc", "%[date(0,us)]", "%ci", "%cp", "%ts", "%U", "%B")
_TLS = ("%Th", "%sslv", "%sslc", "%[ssl_fc_is_resumed]", "%[var(sess.tid)]")
_REQUEST = ("%b", "%s", "%si", "%sp", "%ST", "%TR", "%Tw", "%Tc", "%Tr", "%Ta", "%[var(txn.r)]", "%[var(txn.first)]", "%r", "%hr", "%hs")
_CONNECTION = ("%b", "%s", "%si", "%sp", "%Tw", "%Tc", "%Tt", "%hr")
#: captures of a request, in their order
USER_AGENT, HOST, TRACE_ASKED, TRACE, SNI, NEW_HOST, NEW_URI = range(7)
_TRACE = "req.fhdr(x-amzn-trace-id)"
_ID = "%[rand,hex,bytes(8,8),lower]" * 4


class LogLines:
    """What stands before all of a frontend's rules, and what after those that change requests."""

    def __init__(self) -> None:
        self.first: list[str] = []
        self.last: list[str] = []


def log_lines(front: Front, groups: Mapping[str, TargetGroup], places: Places, files: dict[str, bytes]) -> LogLines:
    """`files` gets the legend that the lines name."""
    lines = LogLines()
    legend = legend_of(front, groups)
    if not front.is_http and legend.access_logs is None:
        return lines
    mark, content = encoded(legend)
    files[places.legend(mark)] = content
    lines.first = [
        f"log fd@1 len {_LINE_BYTES} format raw local0 info",
        "option dontlognull",
        f"log-format {_format(REQUEST if front.is_http else CONNECTION, mark, _REQUEST if front.is_http else _CONNECTION)}",
    ]
    if legend.access_logs is None and legend.connection_logs is None:
        lines.first.append("option dontlog-normal")
        return lines
    lines.first.append(f"tcp-request session set-var-fmt(sess.tid) '{_ID}'")
    if front.is_http:
        _capture_requests(front, legend, mark, lines)
    elif front.is_tls:
        lines.first.append("tcp-request content capture ssl_fc_sni len 256")
    return lines


def _capture_requests(front: Front, legend: Legend, mark: str, lines: LogLines) -> None:
    lengths = (_AGENT_BYTES, 512, 512, 1024, 256, 256, _AGENT_BYTES)
    captures = [
        (USER_AGENT, "req.fhdr(user-agent)", ""),
        (HOST, "req.fhdr(host)", ""),
        (TRACE_ASKED, _TRACE, ""),
    ]
    if front.is_tls:
        captures.append((SNI, "ssl_fc_sni", ""))
    lines.first += [f"declare capture request len {length}" for length in lengths]
    lines.first.append("declare capture response len 2048")
    lines.first += [f"http-request capture {sample} id {number}{when}" for number, sample, when in captures]
    lines.first.append("http-after-response capture res.hdr(location) id 0")
    if legend.connection_logs is not None:
        lines.first += [
            f"error-log-format {_format(FAILED, mark, ())}",
            "http-request set-var(txn.first) bool(1) if !{ var(sess.first) -m found }",
            "http-request set-var(sess.first) bool(1)",
        ]
    lines.last = [f"http-request capture {_TRACE} id {TRACE}"]
    if any(rule.transforms for rule in front.rules):
        lines.last += [f"http-request capture req.fhdr(host) id {NEW_HOST}", f"http-request capture pathq id {NEW_URI}"]


def _format(kind: str, mark: str, further: Iterable[str]) -> str:
    fields = "\\t".join((f"@{kind}", mark, *_COMMON, *_TLS, *further))
    return f'"{fields}"'


def put_into(lines: list[str], log: LogLines) -> list[str]:
    """A frontend's lines with those of its log: the first behind its name and whose it is, the last before it chooses a backend."""
    way = next((number for number, line in enumerate(lines) if line.startswith(("use_backend", "default_backend"))), len(lines))
    return [*lines[:2], *log.first, *lines[2:way], *log.last, *lines[way:]]

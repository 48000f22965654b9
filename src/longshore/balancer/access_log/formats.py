"""Lines as AWS writes them, of what a raw line and its legend say. Pure.

Field by field as Elastic Load Balancing's guides list them: access logs of Application Load Balancers (34 fields) and connection
logs of theirs, TLS logs of Network Load Balancers (22 fields), access logs of Classic Load Balancers (15 fields). What is not known
here is `-`, which AWS writes too: classification of desync risks, reasons of errors, the address of the node.

In quoted fields a quotation mark, a backslash and everything that is not printable ASCII is written as \\xXX: what a client sends
cannot end its field, nor the line.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime

from longshore.balancer.access_log.legend import Legend
from longshore.balancer.access_log.line import Line
from longshore.balancer.render.access_log import FAILED, HOST, NEW_HOST, NEW_URI, SNI, TRACE, TRACE_ASKED, USER_AGENT

_UNUSUAL = re.compile(rb"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
_TRANSPORT = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://")
_MOST_BYTES = 8192
_KIND = {"authenticate-oidc": "authenticate", "authenticate-cognito": "authenticate", "jwt-validation": "jwt-validation"}


def application_line(line: Line, legend: Legend) -> str:
    """Of an Application Load Balancer's access log."""
    is_of_target, early = line.is_of_target, line.left_early
    status = "460" if early else str(line.status) if line.status > 0 else "-"
    target = f"{_address(line.target)}:{line.target_port}" if line.has_target else "-"
    target_status = str(line.status) if is_of_target else "-"
    group = legend.groups.get(line.backend.removesuffix(".open"))
    request, response, whole = _times(line, is_of_target)
    redirect = line.answered[0] if line.answered and 300 <= line.status < 400 and not is_of_target else b""
    # An answer to whoever says who he is leads elsewhere, too: to who will ask him.
    executed = actions_executed(line, legend)
    transformed = bool(line.capture(NEW_URI) or line.capture(NEW_HOST))
    changed = transformed and (line.capture(NEW_URI) != _uri(line) or line.capture(NEW_HOST) != line.capture(HOST))
    return " ".join(
        (
            request_type(line, legend),
            moment(line.ended_us),
            legend.id,
            f"{_address(line.client)}:{line.client_port}",
            target,
            request,
            response,
            whole,
            status,
            target_status,
            str(line.received),
            str(line.sent),
            quoted(request_text(line, legend)),
            quoted(line.capture(USER_AGENT)[:_MOST_BYTES] or b"-"),
            line.cipher or "-",
            line.tls or "-",
            group.arn if group else "-",
            quoted(trace_id(line)),
            quoted(line.capture(SNI) or b"-"),
            quoted(_certificate(line, legend)),
            line.priority or "-",
            moment(_begun_us(line)),
            quoted(executed),
            quoted(redirect or b"-"),
            '"-"',
            quoted(target),
            quoted(target_status),
            '"-"',
            '"-"',
            f"TID_{line.connection}" if line.connection else "-",
            quoted(line.capture(NEW_HOST) if changed else "-"),
            quoted(line.capture(NEW_URI) if changed else "-"),
            quoted("TransformSuccess" if changed else "-"),
            '"-"',
        )
    )


def connection_line(line: Line, legend: Legend) -> str:
    """Of an Application Load Balancer's connection log: connections that ended TLS here, or did not come to that."""
    is_made = line.kind != FAILED
    return " ".join(
        (
            moment(_begun_us(line) if is_made else line.ended_us),
            _address(line.client),
            str(line.client_port),
            str(legend.port),
            (line.tls if is_made else "") or "-",
            (line.cipher if is_made else "") or "-",
            f"{max(line.handshake_ms, 0) / 1000:.3f}" if is_made else "-",
            '"-"',
            "-",
            "-",
            "Success" if is_made else "Failed:UnmappedConnectionError",
            f"TID_{line.connection}" if line.connection else "-",
        )
    )


def network_line(line: Line, legend: Legend) -> str:
    """Of a Network Load Balancer's access log, which knows TLS listeners alone."""
    return " ".join(
        (
            "tls",
            "2.0",
            moment(line.ended_us)[:19],
            legend.id,
            legend.listener_arn.rpartition("/")[2],
            f"{_address(line.client)}:{line.client_port}",
            f"{_address(line.target)}:{line.target_port}" if line.has_target else "-",
            str(max(line.total_ms, 0)),
            str(max(line.handshake_ms, 0)) if line.tls else "-",
            str(line.received),
            str(line.sent),
            "-",
            _certificate(line, legend),
            "-",
            line.cipher or "-",
            line.tls.replace(".", "").lower() if line.tls else "-",
            "-",
            word(line.captured[0]) if line.captured and line.captured[0] else "-",
            "-",
            "-",
            "-",
            moment(line.ended_us - 1000 * (max(line.total_ms, 0) + max(line.handshake_ms, 0)))[:19],
        )
    )


def classic_line(line: Line, legend: Legend) -> str:
    """Of a Classic Load Balancer's access log."""
    target = f"{_address(line.target)}:{line.target_port}" if line.has_target else "-"
    if legend.is_http:
        is_of_target = line.is_of_target
        times = [seconds(time, 6) for time in _milliseconds(line, is_of_target)]
        statuses = [str(line.status) if line.status > 0 else "-", str(line.status) if is_of_target else "0"]
        request, agent = quoted(request_text(line, legend)), quoted(line.capture(USER_AGENT)[:_MOST_BYTES] or b"-")
    else:
        times = [seconds(line.connect_ms, 6), seconds(0, 6), seconds(0, 6)] if line.has_target else ["-1", "-1", "-1"]
        statuses, request, agent = ["-", "-"], '"- - - "', '"-"'
    return " ".join(
        (
            moment(_begun_us(line)),
            legend.load_balancer_name,
            f"{_address(line.client)}:{line.client_port}",
            target,
            *times,
            *statuses,
            str(line.received),
            str(line.sent),
            request,
            agent,
            line.cipher or "-",
            line.tls or "-",
        )
    )


def request_type(line: Line, legend: Legend) -> str:
    """http, https, h2, grpcs, ws or wss."""
    if line.status == 101:
        return "wss" if legend.is_tls else "ws"
    if not legend.is_tls:
        return "http"
    group = legend.groups.get(line.backend.removesuffix(".open"))
    if group is not None and group.protocol_version == "GRPC":
        return "grpcs"
    return "h2" if line.request.endswith(b" HTTP/2.0") else "https"


def actions_executed(line: Line, legend: Legend) -> str:
    types = legend.rules.get(line.priority, ()) if line.priority else ()
    if not types:
        return "-"
    before = [_KIND[type] for type in types[:-1] if type in _KIND]
    if before and not line.has_target and types[-1] == "forward" and line.status in (302, 401, 500, 561):
        return before[0]  # it ended there
    return ",".join([*before, types[-1]])


def request_text(line: Line, legend: Legend) -> bytes:
    """METHOD PROTOCOL://HOST:PORT/URI VERSION, of which HAProxy has METHOD URI VERSION."""
    method, _, rest = line.request.partition(b" ")
    uri, _, version = rest.rpartition(b" ")
    if not uri or line.request == b"<BADREQ>":
        return b"- - - "
    scheme = b"https" if legend.is_tls else b"http"
    authority, path = _parts(uri)
    host = line.capture(HOST) or authority or legend.address.encode()
    if not re.search(rb":\d+$", host):
        host += b":%d" % legend.port
    return b"%s %s://%s%s %s" % (method, scheme, host, path[:_MOST_BYTES], version)


def _uri(line: Line) -> bytes:
    return _parts(line.request.partition(b" ")[2].rpartition(b" ")[0])[1]


def _parts(uri: bytes) -> tuple[bytes, bytes]:
    """(authority, path and query) of a request's address in either form."""
    found = _TRANSPORT.match(uri)
    if found is None:
        return b"", uri
    authority, slash, path = uri[found.end() :].partition(b"/")
    return authority, slash + path


def trace_id(line: Line) -> bytes:
    """What the target was told. Whoever got no target had none to be told of: of such, the id is made here, and nobody else has it."""
    told = line.capture(TRACE)
    if told:
        return told
    mark = hashlib.blake2b(f"{line.worker}|{line.mark}|{line.number}|{line.ended_us}".encode(), digest_size=12).hexdigest()
    own = f"1-{_begun_us(line) // 1_000_000:08x}-{mark}".encode()
    asked = re.sub(rb"^Self=[^;]*;", b"", line.capture(TRACE_ASKED))
    return b"Self=" + own + b";" + asked if asked else b"Root=" + own


def _certificate(line: Line, legend: Legend) -> str:
    if not line.tls:
        return "-"
    if line.is_resumed:
        return "session-reused"
    name = line.captured[0] if line.kind == "C" and line.captured else line.capture(SNI)
    return legend.certificate_for(name.decode("ascii", errors="replace")) or "-"


def _milliseconds(line: Line, is_of_target: bool) -> tuple[int, int, int]:
    """Of the request, the target, and the response; -1 for what it did not come to."""
    if not line.has_target or line.connect_ms < 0 or min(line.request_ms, line.queue_ms) < 0:
        return -1, -1, -1
    before = line.request_ms + line.queue_ms + line.connect_ms
    if line.response_ms < 0 or not is_of_target:
        return before, -1, -1
    return before, line.response_ms, max(0, line.total_ms - before - line.response_ms)


def _times(line: Line, is_of_target: bool) -> tuple[str, str, str]:
    first, second, third = _milliseconds(line, is_of_target)
    return seconds(first, 3), seconds(second, 3), seconds(third, 3)


def seconds(milliseconds: int, digits: int) -> str:
    return "-1" if milliseconds < 0 else f"{milliseconds / 1000:.{digits}f}"


def moment(us: int) -> str:
    whole, part = divmod(us, 1_000_000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{part:06d}Z"


def _begun_us(line: Line) -> int:
    return line.ended_us - 1000 * max(line.total_ms, 0)


def _address(text: str) -> str:
    return f"[{text}]" if ":" in text else text or "-"


def quoted(text: bytes | str) -> str:
    return f'"{word(text)}"'


def word(text: bytes | str) -> str:
    content = text if isinstance(text, bytes) else text.encode()
    return _UNUSUAL.sub(lambda found: b"\\x%02X" % found[0][0], content).decode("ascii")

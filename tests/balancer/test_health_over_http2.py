"""What is asked and found over HTTP/2 without a library, held against one."""

from __future__ import annotations

import re

import h2.config
import h2.connection
import h2.events
import hpack as library
from hypothesis import given
from hypothesis import strategies as st

from longshore.balancer import hpack
from longshore.balancer.render import grpc_check
from longshore.services.elbv2.model import HealthCheck

CHECK = HealthCheck(protocol="HTTP", path="/x.Y/Check", http_codes="0,5-7,12")
PATHS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=1023).map(lambda text: f"/{text}")


def received(question: bytes) -> tuple[dict[str, str], bytes, bool]:
    """(headers, body, whether the request is complete), as a server of the library understands it."""
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    server.initiate_connection()
    headers: dict[str, str] = {}
    body, is_over = b"", False
    for event in server.receive_data(question):
        if isinstance(event, h2.events.RequestReceived):
            headers = {str(name): str(value) for name, value in event.headers or ()}
        body += event.data or b"" if isinstance(event, h2.events.DataReceived) else b""
        is_over = is_over or isinstance(event, h2.events.StreamEnded)
    return headers, body, is_over


def rendered(question: str, authority: str) -> bytes:
    """What HAProxy makes of the line that sends, for a server that is asked as `authority`."""
    found = re.fullmatch(r"tcp-check send-binary-lf '(.*)'", question)
    assert found is not None

    def value(match: re.Match[str]) -> str:
        first, *rest = re.findall(r"[a-z_]+(?:\([^)]*\))?", match[1])
        assert first == "name"
        sample: str | int = authority
        for step in rest:
            if step == "length":
                sample = len(sample) if isinstance(sample, str) else 0
            elif step.startswith("add("):
                assert isinstance(sample, int)
                sample += int(step[4:-1])
            elif step == "hex":
                sample = f"{sample:016x}" if isinstance(sample, int) else sample.encode().hex()
            elif step.startswith("bytes("):
                start, count = map(int, step[6:-1].split(","))
                assert isinstance(sample, str)
                sample = sample[start : start + count]
        return str(sample)

    return bytes.fromhex(re.sub(r"%\[([^\]]*)\]", value, found[1]))


@given(PATHS, st.sampled_from(["10.0.0.1:80", "255.255.255.255:65535", "x"]), st.sampled_from(["HTTP", "HTTPS"]))
def test_the_question_is_one_complete_call_whoever_asks_it(path: str, authority: str, protocol: str) -> None:
    check = HealthCheck(protocol=protocol, path=path, http_codes="12")
    question = grpc_check.request(check, authority)
    headers, body, is_over = received(question)
    assert headers == {
        ":method": "POST",
        ":scheme": protocol.lower(),
        ":path": path,
        ":authority": authority,
        "content-type": "application/grpc",
        "te": "trailers",
        "user-agent": "ELB-HealthChecker/2.0",
    }
    assert (body, is_over) == (bytes(5), True)
    line = next(line for line in grpc_check.check_lines(check, "name") if "send-binary" in line)
    assert rendered(line, authority) == question


def verdict(codes: str, answer: bytes) -> int | bool | None:
    """As HAProxy takes the lines one by one: None while it waits, the code it tells, or whether it passes."""
    text = answer.hex()
    lines = [line for line in grpc_check.check_lines(HealthCheck(http_codes=codes), "name") if " expect " in line]
    for number, line in enumerate(lines):
        found = re.search(line[line.index("'") + 1 : -1], text) is not None
        if number == 0 and not found:
            return None
        if " ! rbinary" in line and found:
            told = re.search(r"status-code int\((\d+)\)", line)
            assert told is not None
            return int(told[1])
    return found


@given(st.integers(0, 99), st.booleans(), st.booleans(), st.sampled_from(["12", "0", "0-99", "0,5-7,12", "17-20"]))
def test_a_status_is_found_however_it_is_written(code: int, is_huffman: bool, is_after_headers: bool, codes: str) -> None:
    encoder = library.Encoder()
    encoder.header_table_size = 0
    head = encoder.encode([(":status", "200"), ("content-type", "application/grpc")], huffman=is_huffman) if is_after_headers else b""
    before = hpack.frame(hpack.HEADERS, hpack.END_HEADERS, head)
    trailers = encoder.encode([("grpc-status", str(code)), ("grpc-message", "it is so")], huffman=is_huffman)
    answer = before + hpack.frame(hpack.HEADERS, hpack.END_HEADERS | hpack.END_STREAM, trailers)
    assert grpc_check.code_in(before) is None and verdict(codes, before) is None
    assert grpc_check.code_in(answer) == code
    accepted = any(int(low) <= code <= int(high or low) for low, _, high in (part.partition("-") for part in codes.split(",")))
    expected: int | bool = accepted if accepted or code > 16 else code
    assert repr(verdict(codes, answer)) == repr(expected)


@given(st.sampled_from([200, 204, 206, 304, 400, 404, 500, 201, 302, 418, 503, 599]), st.booleans(), st.booleans(), st.booleans())
def test_a_final_status_is_found_behind_whatever_comes_before_it(code: int, is_huffman: bool, is_padded: bool, is_early: bool) -> None:
    encoder = library.Encoder()
    encoder.header_table_size = 0
    answer = bytes(9) + hpack.frame(hpack.HEADERS, hpack.END_HEADERS, encoder.encode([(":status", "103")])) if is_early else b""
    block = encoder.encode([(":status", str(code)), ("x", "y")], huffman=is_huffman)
    flags = hpack.END_HEADERS | (0x28 if is_padded else 0)
    payload = b"\x03" + bytes(5) + block + bytes(3) if is_padded else block
    whole = answer + hpack.frame(hpack.HEADERS, flags, payload)
    assert hpack.status_in(whole) == code
    assert all(hpack.status_in(whole[:end]) is None for end in range(len(answer), len(whole)))


@given(st.binary(max_size=60))
def test_nonsense_has_no_status_and_breaks_nothing(answer: bytes) -> None:
    hpack.status_in(answer)
    hpack.status_in(hpack.frame(hpack.HEADERS, 0, answer))
    assert grpc_check.code_in(answer) is None

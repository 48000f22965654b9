"""What a load balancer answers by itself: pages as files of HAProxy's, and as rules that return them. Pure."""

from __future__ import annotations

from longshore.balancer.words import quoted


def error_page(status: int, words: str) -> bytes:
    """A whole answer, as files for HAProxy's errors hold it."""
    body = page(status, words)
    head = f"HTTP/1.1 {status} {words}\r\nServer: awselb/2.0\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


def page(status: int, words: str) -> str:
    return f"<html><head><title>{status} {words}</title></head><body><center><h1>{status} {words}</h1></center></body></html>"


def error(status: int, words: str, when: str = "") -> str:
    content = f"content-type text/html string {quoted(page(status, words))}"
    return f"http-request return status {status} {content} hdr Server awselb/2.0{when}"

"""What a load balancer answers by itself: pages as files of HAProxy's, and as rules that return them. Pure."""

from __future__ import annotations

from longshore.balancer.words import quoted

#: what HAProxy finds out by itself -> how it is answered; 503 is a backend's own business
ERRORS = {
    400: "Bad Request",
    408: "Request Time-out",
    413: "Request Entity Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    504: "Gateway Time-out",
}
#: those after which HAProxy cannot tell where the next request begins
_LAST = (400, 408, 413, 501)


def error_page(status: int, words: str) -> bytes:
    """A whole answer, as files for HAProxy's errors hold it."""
    body = page(status, words)
    end = "Connection: close\r\n" if status in _LAST else ""
    head = f"HTTP/1.1 {status} {words}\r\nServer: awselb/2.0\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n{end}\r\n"
    return (head + body).encode()


def page(status: int, words: str) -> str:
    title = f"{status} {words}"
    return f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"


def error(status: int, words: str, when: str = "") -> str:
    return f"http-request return status {status} {page_content(status, words)} hdr Server awselb/2.0{when}"


def page_content(status: int, words: str) -> str:
    """`content-type … string …`: HAProxy reads \\r and \\n only outside of quotes."""
    lines = "\\r\\n".join(quoted(line) if line else "" for line in page(status, words).split("\r\n"))
    return f"content-type text/html string {lines}"


def empty_error(status: int, when: str) -> str:
    """For what has no name in HTTP: 463 and 464."""
    return f"http-request return status {status} hdr Server awselb/2.0{when}"

"""As much of HTTP/2 as a health check needs: to ask one thing, and to find a number in the answer. Pure.

Nothing here depends on what the server says before it answers, and the server is told to remember no headers of its own: then
a status comes as an entry of the table that everybody has, or as a literal, plain or in Huffman's code.
"""

from __future__ import annotations

HEADERS, DATA, CONTINUATION = 1, 0, 9
END_STREAM, END_HEADERS = 1, 4
_SETTINGS = 4
_PADDED, _PRIORITY = 8, 32
_STREAM = 1
#: Huffman's code for digits
_DIGITS = ("00000", "00001", "00010", "011001", "011010", "011011", "011100", "011101", "011110", "011111")
_BY_CODE = {code: str(digit) for digit, code in enumerate(_DIGITS)}
#: entries of `:status` in the table that everybody has
_STATUSES = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}
#: a literal of the name `:status`: to be remembered, not to be, never to be
_STATUS_LITERALS = (0x48, 0x08, 0x18)


def text(content: bytes) -> bytes:
    """A string, not compressed."""
    if len(content) < 127:
        return bytes([len(content)]) + content
    head, rest = bytearray([127]), len(content) - 127
    while rest >= 128:
        head.append(rest % 128 + 128)
        rest //= 128
    return bytes([*head, rest]) + content


def frame(type: int, flags: int, payload: bytes) -> bytes:
    """Of the only stream there is."""
    return len(payload).to_bytes(3, "big") + bytes([type, flags]) + _STREAM.to_bytes(4, "big") + payload


def preface() -> bytes:
    """What a client says first; its settings allow no remembered headers, and no pushes."""
    settings = b"\x00\x01\x00\x00\x00\x00" + b"\x00\x02\x00\x00\x00\x00"
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + len(settings).to_bytes(3, "big") + bytes([_SETTINGS, 0]) + bytes(4) + settings


def request_line(method: int, scheme: str, path: str) -> bytes:
    """`method` as its entry in the table: 0x82 is GET, 0x83 POST."""
    return bytes([method, 0x87 if scheme == "HTTPS" else 0x86, 0x04]) + text(path.encode())


def authority(name: str) -> bytes:
    return b"\x01" + text(name.encode())


def user_agent(name: bytes) -> bytes:
    return b"\x0f\x2b" + text(name)


def plain(number: int) -> bytes:
    """A number as a string, length in front."""
    return text(str(number).encode())


def huffman(number: int) -> bytes:
    bits = "".join(_DIGITS[int(digit)] for digit in str(number))
    bits += "1" * (-len(bits) % 8)
    return bytes([0x80 + len(bits) // 8]) + int(bits, 2).to_bytes(len(bits) // 8, "big")


def status_in(answer: bytes) -> int | None:
    """The status of the answer as far as it has come; None as long as there is none, or none that is final."""
    position = 0
    while position + 9 <= len(answer):
        length = int.from_bytes(answer[position : position + 3], "big")
        type, flags = answer[position + 3], answer[position + 4]
        payload = answer[position + 9 : position + 9 + length]
        if len(payload) < length:
            return None
        if type == HEADERS:
            status = _status(payload, flags)
            if status is None or status >= 200:
                return status
        position += 9 + length
    return None


def _status(payload: bytes, flags: int) -> int | None:
    block = payload[(1 if flags & _PADDED else 0) + (5 if flags & _PRIORITY else 0) :]
    while block and 0x20 <= block[0] < 0x40:
        # How much is to be remembered, in a byte or, from 31 on, in several.
        rest = block[1:]
        if block[0] & 0x1F == 0x1F:
            while rest and rest[0] & 0x80:
                rest = rest[1:]
            rest = rest[1:]
        block = rest
    if not block:
        return None
    if block[0] in _STATUSES:
        return _STATUSES[block[0]]
    if block[0] not in _STATUS_LITERALS or len(block) < 2:
        return None
    value = block[2 : 2 + (block[1] & 0x7F)]
    digits = _decoded(value) if block[1] & 0x80 else value.decode("ascii", "replace")
    return int(digits) if digits.isdecimal() and len(digits) == 3 else None


def _decoded(value: bytes) -> str:
    bits = "".join(f"{byte:08b}" for byte in value)
    digits = ""
    while len(bits) >= 5:
        for length in (5, 6):
            if bits[:length] in _BY_CODE:
                digits += _BY_CODE[bits[:length]]
                bits = bits[length:]
                break
        else:
            break
    return digits

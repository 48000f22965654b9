"""The data channel of AWS Session Manager: what `aws ecs execute-command` and its plugin speak over a websocket.

The client opens the websocket, sends one text frame with its token, and from then on both sides send binary messages: a header
of fixed places, big-endian numbers and a payload. Data goes in two numbered streams (input to the command, output from it);
each message of a stream is acknowledged by its number and sent again until it is. The public plugin (aws/session-manager-plugin,
src/message and src/datachannel) is the reference for what stands here; nothing of it needs AWS.

Beyond AWS: the last message of the input may carry FIN, which ends the command's standard input, and `channel_closed` may carry
`ExitCode`. The plugin sends neither and ignores what it does not know.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec

INPUT, OUTPUT, ACKNOWLEDGE, CLOSED = "input_stream_data", "output_stream_data", "acknowledge", "channel_closed"
START_PUBLICATION, PAUSE_PUBLICATION = "start_publication", "pause_publication"

#: payload types of stream messages
DATA, ERROR, SIZE, PARAMETER = 1, 2, 3, 4
HANDSHAKE_REQUEST, HANDSHAKE_RESPONSE, HANDSHAKE_COMPLETE = 5, 6, 7
FLAG, STDERR, EXIT_CODE = 10, 11, 12
#: what a FLAG payload says
TERMINATE_SESSION = 2
#: bits of `flags`
SYN, FIN = 1, 2

#: header length, type, schema, created (ms), sequence, flags, id (its halves swapped), digest, payload type, payload length
_HEADER = struct.Struct(">I32sIQqQ8s8s32sII")
_HEADER_LENGTH = _HEADER.size - 4
_SCHEMA = 1
#: the longest payload that is taken
MOST_PAYLOAD = 1024 * 1024
#: what is sent is cut into pieces of so many bytes
PIECE = 16 * 1024


class Malformed(Exception):
    """A frame that is no message of the data channel."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    sequence: int = 0
    payload: bytes = b""
    payload_type: int = 0
    flags: int = 0
    #: a UUID
    id: str
    #: milliseconds since the epoch
    created: int


class Opening(msgspec.Struct, frozen=True, rename="pascal"):
    """The text frame a client begins with."""

    token_value: str
    message_schema_version: str = "1.0"
    request_id: str = ""
    client_id: str = ""
    client_version: str = ""


class Acknowledgement(msgspec.Struct, frozen=True):
    kind: str = msgspec.field(name="AcknowledgedMessageType")
    id: str = msgspec.field(name="AcknowledgedMessageId")
    sequence: int = msgspec.field(name="AcknowledgedMessageSequenceNumber")
    sequential: bool = msgspec.field(name="IsSequentialMessage", default=True)


class TerminalSize(msgspec.Struct, frozen=True):
    cols: int
    rows: int


class Closing(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """The payload of `channel_closed`: the end, with `output` saying why where it is no ordinary one."""

    message_id: str = ""
    created_date: str = ""
    destination_id: str = ""
    session_id: str = ""
    message_type: str = ""
    schema_version: int = 0
    output: str = ""
    #: of the command; absent where it was not seen to end
    exit_code: int | None = None


def pack(message: Message) -> bytes:
    identity = uuid.UUID(message.id).bytes
    return (
        _HEADER.pack(
            _HEADER_LENGTH,
            message.kind.encode().ljust(32),
            _SCHEMA,
            message.created,
            message.sequence,
            message.flags,
            identity[8:],
            identity[:8],
            hashlib.sha256(message.payload).digest(),
            message.payload_type,
            len(message.payload),
        )
        + message.payload
    )


def unpack(frame: bytes) -> Message:
    """Raises Malformed, also when the payload is not the one that was sent."""
    if len(frame) < _HEADER.size:
        raise Malformed(f"{len(frame)} bytes are no message")
    header_length, kind, _, created, sequence, flags, low, high, digest, payload_type, length = _HEADER.unpack_from(frame)
    start = header_length + 4
    if header_length != _HEADER_LENGTH or length != len(frame) - start or length > MOST_PAYLOAD:
        raise Malformed("its lengths do not fit")
    payload = bytes(frame[start:])
    if payload and hashlib.sha256(payload).digest() != digest:
        raise Malformed("its payload is not what its digest says")
    try:
        name = kind.rstrip(b" \0").decode()
    except UnicodeDecodeError as error:
        raise Malformed("its type is no text") from error
    return Message(
        kind=name,
        sequence=sequence,
        payload=payload,
        payload_type=payload_type,
        flags=flags,
        id=str(uuid.UUID(bytes=high + low)),
        created=created,
    )


def acknowledgement(of: Message, message_id: str, created: int) -> bytes:
    content = Acknowledgement(kind=of.kind, id=of.id, sequence=of.sequence)
    return pack(Message(kind=ACKNOWLEDGE, payload=msgspec.json.encode(content), flags=SYN | FIN, id=message_id, created=created))


def acknowledged(message: Message) -> int:
    """The sequence number that an `acknowledge` message speaks of. Raises Malformed."""
    try:
        return msgspec.json.decode(message.payload, type=Acknowledgement).sequence
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Malformed(f"an acknowledgement of nothing: {error}") from error


def handshake_request(agent_version: str, session_type: str) -> bytes:
    """The payload that asks the client to be ready for a session of that type. No encryption is asked for: that would take AWS KMS."""
    action = {"ActionType": "SessionType", "ActionParameters": {"SessionType": session_type, "Properties": {}}}
    return msgspec.json.encode({"AgentVersion": agent_version, "RequestedClientActions": [action]})


def handshake_response(client_version: str, request: bytes) -> bytes:
    """What a client answers: it can do all that was asked of it. Raises Malformed."""
    try:
        asked = msgspec.json.decode(request, type=dict[str, Any]).get("RequestedClientActions") or []
        actions = [{"ActionType": str(action["ActionType"]), "ActionStatus": 1, "ActionResult": None, "Error": ""} for action in asked]
    except (msgspec.MsgspecError, KeyError, TypeError, RecursionError) as error:
        raise Malformed(f"a handshake that asks for nothing: {error}") from error
    return msgspec.json.encode({"ClientVersion": client_version, "ProcessedClientActions": actions, "Errors": []})


def pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


class Incoming:
    """The order of a stream that comes in: what may be handed on, and what was heard already.

    A message that is ahead of its turn is kept, up to `most` of them and `most_bytes` of payload.
    """

    def __init__(self, most: int = 256, most_bytes: int = 4 * MOST_PAYLOAD) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._expected = 0
        self._ahead: dict[int, Message] = {}
        #: bytes of payload that are ahead of their turn
        self.held = 0

    def take(self, message: Message) -> tuple[bool, list[Message]]:
        """Whether it is to be acknowledged, and what is next in order now."""
        if message.sequence < self._expected or message.sequence in self._ahead:
            return True, []
        if message.sequence > self._expected:
            if len(self._ahead) >= self._most or self.held + len(message.payload) > self._most_bytes:
                return False, []
            self._ahead[message.sequence] = message
            self.held += len(message.payload)
            return True, []
        ready = [message]
        self._expected += 1
        while (following := self._ahead.pop(self._expected, None)) is not None:
            ready.append(following)
            self.held -= len(following.payload)
            self._expected += 1
        return True, ready


class _Sent(msgspec.Struct):
    frame: bytes
    at: float


class Outgoing:
    """A stream that goes out: its numbers, and what was not acknowledged yet and so is to be sent again.

    At most `window` messages are under way; whoever sends asks `has_room` first.
    """

    #: seconds without an acknowledgement after which a message is sent again
    REPEAT_S = 0.4

    def __init__(self, window: int = 64) -> None:
        self._window = window
        self._next = 0
        self._unacknowledged: dict[int, _Sent] = {}

    @property
    def has_room(self) -> bool:
        return len(self._unacknowledged) < self._window

    @property
    def is_through(self) -> bool:
        return not self._unacknowledged

    def number(self) -> int:
        """For the next message."""
        self._next += 1
        return self._next - 1

    def sent(self, sequence: int, frame: bytes, now: float) -> None:
        self._unacknowledged[sequence] = _Sent(frame, now)

    def acknowledge(self, sequence: int) -> None:
        self._unacknowledged.pop(sequence, None)

    def overdue(self, now: float) -> list[bytes]:
        """The frames to send again now, oldest first."""
        due = [sent for sent in self._unacknowledged.values() if now - sent.at >= self.REPEAT_S]
        for sent in due:
            sent.at = now
        return [sent.frame for sent in due]

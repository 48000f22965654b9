"""What the generated shapes say about an API: its wire facts, its operations and its errors.

`longshore.aws.shapes.<api>` fills these; the protocol modules read them. Nothing here knows a particular API.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

#: The model's `integer` and `long`, with the range their Java counterparts have.
Integer = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Long = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

#: A parsed form: a value, or what stands behind the dots of `Filter.1.Name`.
Node = str | dict[str, "Node"]
#: Makes what `msgspec.convert` takes out of a node.
Reader = Callable[[Node], Any]
#: Form name -> (member's wire name, reader)
Members = dict[str, tuple[str, Reader]]
#: (name, value) pairs of an HTTP answer
Headers = tuple[tuple[str, str], ...]
#: Takes the pieces of a document one after the other.
Out = Callable[[str], None]
#: Writes the members of a structure as XML.
Writer = Callable[[Out, Any], None]


@dataclass(frozen=True, slots=True)
class Model:
    """The wire facts of one API."""

    api: str
    service_id: str
    #: those the API is served in, botocore's own choice first: `json`, `query`, `ec2`
    protocols: tuple[str, ...]
    api_version: str
    signing_name: str
    endpoint_prefix: str
    #: `1.0` or `1.1`; empty for the XML protocols
    json_version: str = ""
    target_prefix: str = ""
    xml_namespace: str = ""
    #: one endpoint for all regions, whose resources belong to none
    global_endpoint: bool = False

    @property
    def protocol(self) -> str:
        return self.protocols[0]


@dataclass(frozen=True, slots=True)
class OperationShape:
    """One operation's input and output."""

    name: str
    request: type[msgspec.Struct]
    response: type[msgspec.Struct] | None
    #: the element around a query response's members
    result_wrapper: str | None = None
    #: form -> what becomes the request (query and ec2)
    read: Reader | None = None
    #: response -> XML (query and ec2)
    write: Writer | None = None


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """A modelled error: its code on the wire, and the HTTP status."""

    code: str
    status: int


def one_of(union: msgspec.Struct) -> None:
    """A union has exactly one member; botocore refuses to read any other. Raises ValueError, which reading makes a refusal."""
    if sum(getattr(union, name) is not None for name in union.__struct_fields__) != 1:
        raise ValueError(f"{type(union).__name__} must have one and only one member set")

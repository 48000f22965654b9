"""Shapes of the operations that record decisions, write policies from them and try changed policies on them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from longshore.aws.protocol.own import query_shape

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"(?a:\A[\w+=,.@-]+\Z)")]
AnyArn = Annotated[str, Meta(min_length=20, max_length=2048)]
#: an ARN, user/NAME, role/NAME, root, me, or an access key id
Who = Annotated[str, Meta(min_length=2, max_length=2048)]
PolicyName = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"(?a:\A[\w+=,.@-]+\Z)")]
Document = Annotated[str, Meta(min_length=1, max_length=131_072)]
#: seconds that a recording may last: a minute to ninety days
Lasting = Annotated[int, Meta(ge=60, le=90 * 86_400)]
MOST_SHOWN = 1000


class Change(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    action: Literal["put", "delete", "attach", "detach", "version", "boundary"]
    user_name: PolicyName | None = None
    group_name: PolicyName | None = None
    role_name: PolicyName | None = None
    policy_name: PolicyName | None = None
    policy_arn: AnyArn | None = None
    policy_document: Document | None = None


Changes = Annotated[tuple[Change, ...], Meta(min_length=1, max_length=10)]


class Recording(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    recording_name: str
    arn: str
    #: RUNNING or STOPPED
    status: str
    principals: tuple[str, ...] = ()
    started_by: str
    #: seconds since the epoch
    started_at: float
    ends_at: float
    stopped_at: float = 0.0
    calls: int
    requests: int
    refused: int
    dropped: int = 0
    dropped_actions: tuple[str, ...] = ()
    #: whether changed policies are being tried on it
    tries_changes: bool = False
    would_deny: int = 0
    would_allow: int = 0


class StartRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    recording_name: Name
    principals: Annotated[tuple[Who, ...], Meta(max_length=50)] = ()
    seconds: Lasting = 86_400
    changes: Annotated[tuple[Change, ...], Meta(max_length=10)] = ()


class NamedRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    recording_name: Name


class OneResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    recording: Recording


class NoResponse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class ListRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class ListResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    recordings: tuple[Recording, ...] = ()


class Circumstance(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    key: str
    values: tuple[str, ...] = ()


class Call(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    principal: str
    action: str
    resource: str
    is_pattern: bool = False
    allowed: int
    refused: int
    first_at: float
    last_at: float
    would_deny: int = 0
    would_allow: int = 0
    would_say: str = ""
    circumstances: tuple[Circumstance, ...] = ()


class GetRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    recording_name: Name
    marker: Annotated[str, Meta(min_length=1)] | None = None
    max_items: Annotated[int, Meta(ge=1, le=MOST_SHOWN)] = MOST_SHOWN


class GetResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    recording: Recording
    calls: tuple[Call, ...] = ()
    is_truncated: bool = False
    marker: str | None = None


class GenerateRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    recording_name: Name
    #: whose calls; everybody's unless given
    principal: Who | None = None
    resources: Literal["exact", "generalised"] = "generalised"
    #: allow what was only ever refused, too
    with_refused: bool = False


class Widened(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    pattern: str
    seen: int
    why: str


class GenerateResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    policy_documents: tuple[str, ...] = ()
    widened: tuple[Widened, ...] = ()
    calls: int
    refused: int
    dropped: int = 0
    dropped_actions: tuple[str, ...] = ()
    principals: tuple[str, ...] = ()


class ReplayRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    #: every recording of the account unless given
    recording_name: Name | None = None
    changes: Changes


class Difference(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    principal: str
    action: str
    resource: str
    #: that were decided so
    requests: int
    last_at: float
    before: str
    after: str
    explicit: bool = False
    #: the kind of policy that decides, or lacks an Allow, after the change
    side: str
    policy_name: str = ""
    #: of the deciding statement, from 1
    statement: int = 0
    statement_text: str = ""


class ReplayResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    breaks: tuple[Difference, ...] = ()
    opens: tuple[Difference, ...] = ()
    #: of either, how many are left out of the lists
    left_out: int = 0
    calls: int
    unchanged: int
    since_changed: int
    requests_denied: int
    unkept_keys: tuple[str, ...] = ()
    recordings: tuple[str, ...] = ()
    #: whose policies the changes are about, among those recorded
    principals: tuple[str, ...] = ()
    dropped: int = 0


START = query_shape("LongshoreStartRecording", StartRequest, OneResponse)
STOP = query_shape("LongshoreStopRecording", NamedRequest, OneResponse)
LIST = query_shape("LongshoreListRecordings", ListRequest, ListResponse)
GET = query_shape("LongshoreGetRecording", GetRequest, GetResponse)
DELETE = query_shape("LongshoreDeleteRecording", NamedRequest, NoResponse)
GENERATE = query_shape("LongshoreGeneratePolicy", GenerateRequest, GenerateResponse)
REPLAY = query_shape("LongshoreReplayRecording", ReplayRequest, ReplayResponse)

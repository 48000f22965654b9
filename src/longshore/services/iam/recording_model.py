"""What is kept of decisions while somebody records them: recordings, and the calls that each has seen.

A call is what was asked, by whom and under which circumstances, with how often it was; it is kept once however often it comes.
Moments, which are never alike twice, are no part of its circumstances.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from longshore.kit.resource import Kind


class Change(msgspec.Struct, frozen=True, gc=False):
    """What might become of the policies of somebody."""

    #: put and delete: what is written into a holder; attach and detach: a managed policy; version: a managed policy's document from then
    #: on; boundary: the policy that bounds a user or a role (none: it is taken away)
    action: Literal["put", "delete", "attach", "detach", "version", "boundary"]
    #: a user's, group's or role's; empty for version
    holder_arn: str = ""
    #: of what is written into the holder
    policy_name: str = ""
    policy_arn: str = ""
    #: of put and version, and of boundary where no policy is named
    document: str = ""


class Recording(msgspec.Struct, frozen=True, gc=False):
    account_id: str
    name: str
    started_at: float
    started_by: str
    #: whose decisions are kept: users, roles (with all their sessions), the root; empty: everybody of the account
    principals: tuple[str, ...] = ()
    ends_at: float = 0.0
    #: 0 while it runs; the moment it ends by itself is `ends_at`
    stopped_at: float = 0.0
    #: what would be decided with them is counted beside what is; none where nothing is tried
    changes: tuple[Change, ...] = ()
    #: decisions that there was no room for
    dropped: int = 0
    #: what they were about, as many actions as there is room for
    dropped_actions: tuple[str, ...] = ()

    @property
    def arn(self) -> str:
        return recording_arn(self.account_id, self.name)

    @property
    def key(self) -> str:
        return recording_key(self.account_id, self.name)

    def runs(self, now: float) -> bool:
        return not self.stopped_at and now < self.ends_at


def recording_key(account_id: str, name: str) -> str:
    return f"{account_id}:{name}"


def recording_arn(account_id: str, name: str) -> str:
    return f"arn:aws:iam::{account_id}:longshore-recording/{name}"


RECORDINGS: Kind[Recording] = Kind(
    name="iam.recording",
    type=Recording,
    key=lambda recording: recording.key,
    indexes={"account": lambda recording: (recording.account_id,)},
)

#: (condition key in lower case, values), sorted
Circumstances = tuple[tuple[str, tuple[str, ...]], ...]


class RecordedCall(msgspec.Struct, frozen=True, gc=False):
    #: key of the recording
    recording: str
    #: whose policies are asked: a user's, a role's, the root's ARN
    principal: str
    action: str
    #: as it was asked about; where there were very many of a kind, the pattern that they have in common
    resource: str
    circumstances: Circumstances = ()
    is_pattern: bool = False
    allowed: int = 0
    denied: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    #: of who called last: a session's name and unique id; the user's own id
    session_name: str = ""
    user_id: str = ""
    #: the program that called last; clients shuffle the words of theirs, so it tells no call from another
    user_agent: str = ""
    #: of those that were allowed, how many the recording's changes would have denied, and why the last of them
    would_deny: int = 0
    #: of those that were denied, how many they would have allowed
    would_allow: int = 0
    would_say: str = ""

    @property
    def key(self) -> str:
        asked = msgspec.msgpack.encode((self.principal, self.action, self.resource, self.circumstances))
        return f"{self.recording}|{hashlib.blake2b(asked, digest_size=16).hexdigest()}"


RECORDED_CALLS: Kind[RecordedCall] = Kind(
    name="iam.recorded_call",
    type=RecordedCall,
    key=lambda call: call.key,
    indexes={"recording": lambda call: (call.recording,)},
)

KINDS: tuple[Kind[Any], ...] = (RECORDINGS, RECORDED_CALLS)

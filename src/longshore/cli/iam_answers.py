"""What Longshore's own IAM operations answer, as `longshore iam` reads it and as `-o json` prints it again (docs/least-privilege.md)."""

from __future__ import annotations

from msgspec import Struct

# ── explained ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Unmet(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    operator: str
    key: str
    wanted: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    is_absent: bool = False


class Statement(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    number: int
    sid: str = ""
    effect: str
    applied: bool
    decides: bool = False
    reach: str = ""
    missed: str = ""
    unmet: Unmet | None = None
    begin_line: int = 0
    begin_column: int = 0
    end_line: int = 0
    end_column: int = 0
    text: str = ""


class Policy(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    side: str
    kind: str
    name: str
    policy_arn: str = ""
    holder_arn: str = ""
    is_gone: bool = False
    statements: tuple[Statement, ...] = ()


class ContextEntry(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    key: str
    values: tuple[str, ...] | None = ()


class Remedy(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    side: str
    verb: str
    holder_arn: str = ""
    account_id: str = ""
    policy_name: str = ""
    statement: str = ""
    words: str


class Explained(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    decision: str
    message: str = ""
    principal: str
    identity: str
    action_name: str
    resource: str
    policies: tuple[Policy, ...] = ()
    context: tuple[ContextEntry, ...] = ()
    missing_context_keys: tuple[str, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    notes: tuple[str, ...] = ()


# ── recorded ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Recording(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    recording_name: str
    arn: str
    status: str
    principals: tuple[str, ...] = ()
    started_by: str
    started_at: float
    ends_at: float
    stopped_at: float = 0.0
    calls: int
    requests: int
    refused: int
    dropped: int = 0
    dropped_actions: tuple[str, ...] = ()
    tries_changes: bool = False
    would_deny: int = 0
    would_allow: int = 0


class OneRecording(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    recording: Recording


class Recordings(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    recordings: tuple[Recording, ...] = ()


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
    circumstances: tuple[ContextEntry, ...] = ()


class Shown(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    recording: Recording
    calls: tuple[Call, ...] = ()
    is_truncated: bool = False
    marker: str | None = None


class Nothing(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    pass


# ── policies ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Widened(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    pattern: str
    seen: int
    why: str


class Generated(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    policy_documents: tuple[str, ...] = ()
    widened: tuple[Widened, ...] = ()
    calls: int
    refused: int
    dropped: int = 0
    dropped_actions: tuple[str, ...] = ()
    principals: tuple[str, ...] = ()


class Difference(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    principal: str
    action: str
    resource: str
    requests: int
    last_at: float
    before: str
    after: str
    explicit: bool = False
    side: str
    policy_name: str = ""
    statement: int = 0
    statement_text: str = ""


class Replayed(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    breaks: tuple[Difference, ...] = ()
    opens: tuple[Difference, ...] = ()
    left_out: int = 0
    calls: int
    unchanged: int
    since_changed: int
    requests_denied: int
    unkept_keys: tuple[str, ...] = ()
    recordings: tuple[str, ...] = ()
    principals: tuple[str, ...] = ()
    dropped: int = 0

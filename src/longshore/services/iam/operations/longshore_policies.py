"""Beyond AWS: policies written from what was recorded, and changed policies tried on it. Nothing is changed by either."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from longshore.aws.errors import Validation
from longshore.services.call import Call
from longshore.services.iam import recording_shapes as shapes
from longshore.services.iam.api import api
from longshore.services.iam.dry_run import Case, Difference, Replay, Verdict, caller_of, joined, once, replay, unkept_keys
from longshore.services.iam.dry_run_changes import Source, Standing, changed, standing_of
from longshore.services.iam.explaining_principals import identity_named
from longshore.services.iam.minimal import minimal_policy
from longshore.services.iam.operations.longshore_recordings import find_recording, recorder_of, recording_resource
from longshore.services.iam.recording import MOMENTS
from longshore.services.iam.recording_changes import checked_changes
from longshore.services.iam.recording_model import RECORDED_CALLS, RECORDINGS, Change, RecordedCall, Recording, recording_arn
from longshore.services.iam.simulation import context_keys

#: of calls that a change would break, and of those that it would open
MOST_DIFFERENCES = 500
#: calls decided before somebody else has a turn: a few milliseconds
_AT_ONCE = 100


def _recording_or_all(call: Call, request: shapes.ReplayRequest) -> Iterable[str]:
    return (recording_arn(call.account_id, request.recording_name or "*"),)


@api.operation("LongshoreGeneratePolicy", resource=recording_resource, shape=shapes.GENERATE)
async def generate_policy(call: Call, request: shapes.GenerateRequest) -> shapes.GenerateResponse:
    await recorder_of(call).flush()
    recording = find_recording(call.store, call.account_id, request.recording_name)
    whose = identity_named(call, request.principal, call.account_id) if request.principal is not None else None
    calls = [one for one in call.store.list(RECORDED_CALLS, "recording", recording.key) if whose is None or one.principal == whose]
    made = minimal_policy(calls, exact=request.resources == "exact", with_refused=request.with_refused)
    return shapes.GenerateResponse(
        policy_documents=made.documents,
        widened=tuple(shapes.Widened(pattern=one.pattern, seen=one.seen, why=one.why) for one in made.widened),
        calls=made.calls,
        refused=made.refused,
        dropped=recording.dropped,
        dropped_actions=recording.dropped_actions,
        principals=tuple(sorted({one.principal for one in calls})),
    )


@api.operation("LongshoreReplayRecording", resource=_recording_or_all, shape=shapes.REPLAY)
async def replay_recording(call: Call, request: shapes.ReplayRequest) -> shapes.ReplayResponse:
    await recorder_of(call).flush()
    changes = checked_changes(call, request.changes)
    recordings = _recordings(call, request.recording_name)
    calls = once(one for recording in recordings for one in call.store.list(RECORDED_CALLS, "recording", recording.key))
    before = {arn: standing_of(call.store, arn) for arn in sorted({one.principal for one in calls})}
    after = {arn: changed(standing, changes) for arn, standing in before.items()}
    meant = {arn for arn, standing in after.items() if standing != before[arn]}
    found = await _replayed(call, [one for one in calls if one.principal in meant], before, after)
    return shapes.ReplayResponse(
        breaks=tuple(_shown(one, one.call.allowed) for one in found.breaks[:MOST_DIFFERENCES]),
        opens=tuple(_shown(one, one.call.denied) for one in found.opens[:MOST_DIFFERENCES]),
        left_out=max(0, len(found.breaks) - MOST_DIFFERENCES) + max(0, len(found.opens) - MOST_DIFFERENCES),
        calls=sum(1 for one in calls if one.principal in meant),
        unchanged=found.unchanged,
        since_changed=found.since_changed,
        requests_denied=found.requests_denied,
        unkept_keys=unkept_keys(context_keys(_documents(before, after, changes, meant)), MOMENTS),
        recordings=tuple(recording.name for recording in recordings),
        principals=tuple(sorted(meant)),
        dropped=sum(recording.dropped for recording in recordings),
    )


def _recordings(call: Call, name: str | None) -> list[Recording]:
    if name is not None:
        return [find_recording(call.store, call.account_id, name)]
    return call.store.list(RECORDINGS, "account", call.account_id)


async def _replayed(call: Call, calls: Sequence[RecordedCall], before: dict[str, Standing], after: dict[str, Standing]) -> Replay:
    """A few at a time: others are answered meanwhile."""
    parts = []
    for start in range(0, len(calls), _AT_ONCE):
        parts.append(replay(_cases(call, calls[start : start + _AT_ONCE], before, after)))
        await asyncio.sleep(0)
    return joined(parts)


def _cases(call: Call, calls: Iterable[RecordedCall], before: dict[str, Standing], after: dict[str, Standing]) -> list[Case]:
    if call.deciding is None:
        raise Validation("Nothing is decided by this installation.")
    cases = []
    for one in calls:
        principal = caller_of(one, call.account_id)
        heard = call.deciding.heard(principal, one.action, one.resource)
        cases.append(Case(one, principal, heard, before[one.principal], after[one.principal]))
    return cases


def _documents(before: dict[str, Standing], after: dict[str, Standing], changes: Sequence[Change], meant: Iterable[str]) -> Iterable[str]:
    for arn in meant:
        for standing in (before[arn], after[arn]):
            bounds = [standing.boundary] if standing.boundary is not None and standing.boundary.document else []
            yield from (source.document for source in (*standing.sources, *bounds))
    yield from (change.document for change in changes if change.document)


def _shown(one: Difference, requests: int) -> shapes.Difference:
    after: Verdict = one.after
    return shapes.Difference(
        principal=one.call.principal,
        action=one.call.action,
        resource=one.call.resource,
        requests=requests,
        last_at=one.call.last_at,
        before=one.before.why,
        after=after.why,
        explicit=after.explicit,
        side=after.side,
        policy_name=after.source.name if after.source is not None else "",
        statement=after.statement + 1 if after.statement is not None else 0,
        statement_text=statement_text(after.source, after.statement) if after.source is not None and after.statement is not None else "",
    )


def statement_text(source: Source, number: int) -> str:
    """One statement of a policy, as it is written but on one line."""
    statements = msgspec.json.decode(source.document)["Statement"]
    listed = statements if isinstance(statements, list) else [statements]
    return msgspec.json.encode(listed[number]).decode()

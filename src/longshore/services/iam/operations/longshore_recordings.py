"""Beyond AWS: decisions recorded for a while, so that policies can be written from what somebody really does.

Whoever reads a recording sees everything up to that moment: what is not yet written down is, first.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.errors import Validation
from longshore.aws.operation import ANY_RESOURCE
from longshore.services.call import Call
from longshore.services.iam import recording_shapes as shapes
from longshore.services.iam.api import api
from longshore.services.iam.errors import EntityAlreadyExists, LimitExceeded, NoSuchEntity
from longshore.services.iam.explaining_principals import identity_named
from longshore.services.iam.model import ROLES, USERS, Role, User, root_arn
from longshore.services.iam.paging import paged
from longshore.services.iam.recording import Recorder
from longshore.services.iam.recording_changes import checked_changes
from longshore.services.iam.recording_model import RECORDED_CALLS, RECORDINGS, RecordedCall, Recording, recording_arn, recording_key
from longshore.store.base import Reader, Tx

#: of one account, running or not
MOST_RECORDINGS = 20


def recording_resource(call: Call, request: shapes.StartRequest | shapes.NamedRequest | shapes.GetRequest) -> Iterable[str]:
    return (recording_arn(call.account_id, request.recording_name),)


def find_recording(reader: Reader, account_id: str, name: str) -> Recording:
    found = reader.get(RECORDINGS, recording_key(account_id, name))
    if found is None:
        raise NoSuchEntity(f"The recording with name {name} cannot be found.")
    return found


def recorder_of(call: Call) -> Recorder:
    if call.recorder is None:
        raise Validation("Nothing is recorded by this installation.")
    return call.recorder


@api.operation("LongshoreStartRecording", resource=recording_resource, shape=shapes.START)
async def start_recording(call: Call, request: shapes.StartRequest) -> shapes.OneResponse:
    recorder, now = recorder_of(call), call.clock.now()
    principals = tuple(dict.fromkeys(identity_named(call, text, call.account_id) for text in request.principals))

    def start(tx: Tx) -> Recording:
        if tx.get(RECORDINGS, recording_key(call.account_id, request.recording_name)) is not None:
            raise EntityAlreadyExists(f"A recording with name {request.recording_name} already exists.")
        if tx.count(RECORDINGS, "account", call.account_id) >= MOST_RECORDINGS:
            raise LimitExceeded(f"Cannot exceed quota for RecordingsPerAccount: {MOST_RECORDINGS}")
        for arn in principals:
            _check_principal(tx, call.account_id, arn)
        recording = Recording(
            call.account_id,
            request.recording_name,
            now,
            call.principal.arn,
            principals,
            now + request.seconds,
            changes=checked_changes(call, request.changes),
        )
        return tx.create(RECORDINGS, recording)

    made = await call.store.transact(start)
    recorder.look()
    return shapes.OneResponse(recording=described(call.store, made, now))


def _check_principal(reader: Reader, account_id: str, arn: str) -> None:
    known: list[User | Role] = [*reader.list(USERS, "arn", arn), *reader.list(ROLES, "arn", arn)]
    if arn != root_arn(account_id) and not any(one.account_id == account_id for one in known):
        raise NoSuchEntity(f"There is no user or role {arn} in this account.")


@api.operation("LongshoreStopRecording", resource=recording_resource, shape=shapes.STOP)
async def stop_recording(call: Call, request: shapes.NamedRequest) -> shapes.OneResponse:
    """One that has ended stays as it is."""
    recorder, now = recorder_of(call), call.clock.now()

    def stop(tx: Tx) -> None:
        found = find_recording(tx, call.account_id, request.recording_name)
        if found.runs(now):
            tx.put(RECORDINGS, replace(found, stopped_at=now))

    await call.store.transact(stop)
    recorder.look()
    await recorder.flush()
    return shapes.OneResponse(recording=described(call.store, find_recording(call.store, call.account_id, request.recording_name), now))


@api.operation("LongshoreListRecordings", resource=ANY_RESOURCE, shape=shapes.LIST)
async def list_recordings(call: Call, request: shapes.ListRequest) -> shapes.ListResponse:
    await recorder_of(call).flush()
    now = call.clock.now()
    return shapes.ListResponse(
        recordings=tuple(described(call.store, one, now) for one in call.store.list(RECORDINGS, "account", call.account_id))
    )


@api.operation("LongshoreGetRecording", resource=recording_resource, shape=shapes.GET)
async def get_recording(call: Call, request: shapes.GetRequest) -> shapes.GetResponse:
    await recorder_of(call).flush()
    found = find_recording(call.store, call.account_id, request.recording_name)
    calls = paged(
        call,
        ("LongshoreGetRecording", found.name),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(RECORDED_CALLS, "recording", found.key, after=after, limit=limit),
        RECORDED_CALLS.key,
    )
    return shapes.GetResponse(
        recording=described(call.store, found, call.clock.now()),
        calls=tuple(_call_shape(one) for one in calls.items),
        is_truncated=calls.is_truncated,
        marker=calls.marker,
    )


@api.operation("LongshoreDeleteRecording", resource=recording_resource, shape=shapes.DELETE)
async def delete_recording(call: Call, request: shapes.NamedRequest) -> shapes.NoResponse:
    """With everything in it, whether it runs or not."""
    recorder = recorder_of(call)

    def delete(tx: Tx) -> None:
        found = find_recording(tx, call.account_id, request.recording_name)
        for one in tx.list(RECORDED_CALLS, "recording", found.key):
            tx.delete(RECORDED_CALLS, one.key)
        tx.delete(RECORDINGS, found.key)

    await call.store.transact(delete)
    recorder.look()
    return shapes.NoResponse()


# ── views ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def described(reader: Reader, recording: Recording, now: float) -> shapes.Recording:
    calls = reader.list(RECORDED_CALLS, "recording", recording.key)
    return shapes.Recording(
        recording_name=recording.name,
        arn=recording.arn,
        status="RUNNING" if recording.runs(now) else "STOPPED",
        principals=recording.principals,
        started_by=recording.started_by,
        started_at=recording.started_at,
        ends_at=recording.ends_at,
        stopped_at=recording.stopped_at,
        calls=len(calls),
        requests=sum(one.allowed + one.denied for one in calls),
        refused=sum(one.denied for one in calls),
        dropped=recording.dropped,
        dropped_actions=recording.dropped_actions,
        tries_changes=bool(recording.changes),
        would_deny=sum(one.would_deny for one in calls),
        would_allow=sum(one.would_allow for one in calls),
    )


def _call_shape(call: RecordedCall) -> shapes.Call:
    return shapes.Call(
        principal=call.principal,
        action=call.action,
        resource=call.resource,
        is_pattern=call.is_pattern,
        allowed=call.allowed,
        refused=call.denied,
        first_at=call.first_at,
        last_at=call.last_at,
        would_deny=call.would_deny,
        would_allow=call.would_allow,
        would_say=call.would_say,
        circumstances=tuple(shapes.Circumstance(key=key, values=values) for key, values in call.circumstances),
    )

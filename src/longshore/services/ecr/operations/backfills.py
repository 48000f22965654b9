"""Replication backfills: what a registry held before it replicated, carried to one of its destinations."""

from __future__ import annotations

import msgspec

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.pagination import page, seal, unseal
from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ecr.api import api
from longshore.services.ecr.errors import (
    InvalidParameterException,
    LimitExceededException,
    ReplicationBackfillInProgressException,
    ReplicationBackfillInvalidStatusException,
    ReplicationBackfillNotFoundException,
)
from longshore.services.ecr.operations.replication import destination
from longshore.services.ecr.replication.model import (
    BACKFILL_ITEMS,
    BACKFILLS,
    REPLICATION_SETTINGS,
    RUNNING,
    Backfill,
    BackfillItem,
    Destination,
)
from longshore.services.ecr.scope import registry_of
from longshore.store.base import Reader, Tx

#: of one registry at once
MOST_RUNNING = 10
_BACKFILL_PAGE, _RESULT_PAGE = 25, 100
_INVALID_TOKEN = "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'"


@api.operation("StartReplicationBackfill", resource=ANY_RESOURCE)
async def start_replication_backfill(
    call: Call, request: shapes.StartReplicationBackfillRequest
) -> shapes.StartReplicationBackfillResponse:
    account_id = registry_of(call, request.registry_id, "ecr:StartReplicationBackfill", "*")
    begun = Backfill(
        id=call.ids.uuid(),
        region=call.region,
        account_id=account_id,
        destination=Destination(request.destination.region, request.destination.registry_id),
        status="PREPARING",
        started_at=call.clock.now(),
    )

    def start(tx: Tx) -> None:
        settings = tx.get(REPLICATION_SETTINGS, begun.scope)
        if settings is None or not any(begun.destination in rule.destinations for rule in settings.rules):
            raise InvalidParameterException(
                "Invalid parameter at 'destination' failed to satisfy constraint: "
                "'The destination must be configured in the replication configuration of the registry'"
            )
        running = tx.list(BACKFILLS, "running", begun.scope)
        if any(each.destination.region == begun.destination.region for each in running):
            raise ReplicationBackfillInProgressException
        if len(running) >= MOST_RUNNING:
            raise LimitExceededException(f"A registry can have at most {MOST_RUNNING} replication backfills in progress.")
        tx.create(BACKFILLS, begun)

    await call.store.transact(start)
    return shapes.StartReplicationBackfillResponse(
        replication_backfill_id=begun.id,
        registry_id=account_id,
        destination=destination(begun.destination),
        status=begun.status,
        started_at=begun.started_at,
    )


def _find(reader: Reader, region: str, account_id: str, backfill_id: str) -> Backfill:
    """Raises ReplicationBackfillNotFoundException."""
    held = reader.get(BACKFILLS, backfill_id)
    if held is None or (held.region, held.account_id) != (region, account_id):
        raise ReplicationBackfillNotFoundException
    return held


@api.operation("StopReplicationBackfill", resource=ANY_RESOURCE)
async def stop_replication_backfill(call: Call, request: shapes.StopReplicationBackfillRequest) -> shapes.StopReplicationBackfillResponse:
    """What is on its way already arrives; the rest stays where it is."""
    account_id = registry_of(call, request.registry_id, "ecr:StopReplicationBackfill", "*")
    now = call.clock.now()

    def stop(tx: Tx) -> Backfill:
        held = _find(tx, call.region, account_id, request.replication_backfill_id)
        if held.status not in RUNNING:
            raise ReplicationBackfillInvalidStatusException
        if held.status == "STOPPING":
            return held
        waits = tx.count(BACKFILL_ITEMS, "backfill", held.id) > 0
        stopping = (
            msgspec.structs.replace(held, status="STOPPING") if waits else msgspec.structs.replace(held, status="STOPPED", ended_at=now)
        )
        return tx.put(BACKFILLS, stopping)

    held = await call.store.transact(stop)
    return shapes.StopReplicationBackfillResponse(
        registry_id=account_id,
        replication_backfill_id=held.id,
        destination=destination(held.destination),
        status=held.status,
        started_at=held.started_at,
    )


@api.operation("ListReplicationBackfills", resource=ANY_RESOURCE)
async def list_replication_backfills(
    call: Call, request: shapes.ListReplicationBackfillsRequest
) -> shapes.ListReplicationBackfillsResponse:
    account_id = registry_of(call, request.registry_id, "ecr:ListReplicationBackfills", "*")
    scope = f"{call.region}:{account_id}"
    question = ("ListReplicationBackfills", scope)
    found, after = page(
        lambda after, limit: call.store.list(BACKFILLS, "scope", scope, after=after, limit=limit),
        lambda each: each.id,
        after=unseal(call.secret_for_signing, question, request.next_token, InvalidParameterException(_INVALID_TOKEN)),
        limit=request.max_results or _BACKFILL_PAGE,
    )
    return shapes.ListReplicationBackfillsResponse(
        registry_id=account_id,
        backfills=tuple(
            shapes.ReplicationBackfillSummary(
                replication_backfill_id=each.id,
                destination=destination(each.destination),
                status=each.status,
                failure_code=each.failure_code or None,
                progress=_progress(call.store, each),
                started_at=each.started_at,
                ended_at=each.ended_at,
            )
            for each in found
        ),
        next_token=seal(call.secret_for_signing, question, after) if after else None,
    )


def _progress(reader: Reader, held: Backfill) -> shapes.ReplicationBackfillProgress | None:
    if held.total is None:
        return None
    failed = reader.list(BACKFILL_ITEMS, "status", f"{held.id}:FAILED")
    return shapes.ReplicationBackfillProgress(
        total_replication_count=held.total,
        completed_replication_count=reader.count(BACKFILL_ITEMS, "status", f"{held.id}:COMPLETE"),
        failed_replication_count=len(failed),
        failure_codes=tuple(sorted({item.failure_code for item in failed})),
    )


@api.operation("DescribeReplicationBackfillResults", resource=ANY_RESOURCE)
async def describe_replication_backfill_results(
    call: Call, request: shapes.DescribeReplicationBackfillResultsRequest
) -> shapes.DescribeReplicationBackfillResultsResponse:
    account_id = registry_of(call, request.registry_id, "ecr:DescribeReplicationBackfillResults", "*")
    held = _find(call.store, call.region, account_id, request.replication_backfill_id)
    status = request.result_status_filter
    question = ("DescribeReplicationBackfillResults", held.id, status)
    token = unseal(call.secret_for_signing, question, request.next_token, InvalidParameterException(_INVALID_TOKEN))
    index, value = ("status", f"{held.id}:{status}") if status else ("backfill", held.id)
    found: list[BackfillItem] = []
    after = None
    if held.status not in RUNNING:
        found, after = page(
            lambda after, limit: call.store.list(BACKFILL_ITEMS, index, value, after=after, limit=limit),
            lambda each: each.key,
            after=token,
            limit=request.max_results or _RESULT_PAGE,
        )
    return shapes.DescribeReplicationBackfillResultsResponse(
        registry_id=account_id,
        replication_backfill_id=held.id,
        destination=destination(held.destination),
        status=held.status,
        failure_code=held.failure_code or None,
        progress=_progress(call.store, held),
        results=tuple(_result(each) for each in found),
        started_at=held.started_at,
        ended_at=held.ended_at,
        next_token=seal(call.secret_for_signing, question, after) if after else None,
    )


def _result(item: BackfillItem) -> shapes.ReplicationBackfillResult:
    return shapes.ReplicationBackfillResult(
        repository_name=item.name,
        image_id=shapes.ImageIdentifier(image_digest=item.digest, image_tag=item.tag or None),
        status=item.status,
        failure_code=item.failure_code or None,
        sub_image_failure_codes=item.sub_image_failure_codes,
    )

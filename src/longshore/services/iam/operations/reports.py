"""Reports on an account's credentials, and on which services its people used of those they may: asked for, made in the background, read."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.errors import Validation
from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.access_advisor import SERVICES, Held, grants, held_by, held_by_all, is_there, owner_word
from longshore.services.iam.api import api
from longshore.services.iam.errors import (
    CredentialReportExpired,
    CredentialReportNotPresent,
    CredentialReportNotReady,
    InvalidInput,
    LimitExceeded,
    NoSuchEntity,
)
from longshore.services.iam.model import GROUPS, ROLES, USERS, Group, Role, User
from longshore.services.iam.paging import paged
from longshore.services.iam.reports import (
    ACCESS_JOBS,
    CREDENTIAL_REPORT_S,
    CREDENTIAL_REPORTS,
    AccessJob,
    CredentialReport,
    EntityUses,
    Use,
)
from longshore.store.base import Reader, Tx

#: answers about services that an account has kept at once
_MOST_JOBS = 500

# ── credentials ──────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("GenerateCredentialReport", resource=ANY_RESOURCE)
async def generate_credential_report(
    call: Call, request: shapes.GenerateCredentialReportRequest
) -> shapes.GenerateCredentialReportResponse:
    """One that is less than four hours old is not made anew."""
    now = call.clock.now()

    def ask(tx: Tx) -> tuple[str, str | None]:
        kept = tx.get(CREDENTIAL_REPORTS, call.account_id)
        if kept is not None and kept.state != "COMPLETE":
            return "INPROGRESS", None
        if kept is not None and 0 <= now - kept.made_at < CREDENTIAL_REPORT_S:
            return "COMPLETE", None
        tx.put(CREDENTIAL_REPORTS, CredentialReport(call.account_id, now))
        return "STARTED", "No report exists. Starting a new report generation task"

    state, description = await call.store.transact(ask)
    return shapes.GenerateCredentialReportResponse(state=state, description=description)


@api.operation("GetCredentialReport", resource=ANY_RESOURCE)
async def get_credential_report(call: Call, request: shapes.GetCredentialReportRequest) -> shapes.GetCredentialReportResponse:
    kept = call.store.get(CREDENTIAL_REPORTS, call.account_id)
    if kept is None:
        raise CredentialReportNotPresent
    if kept.state != "COMPLETE":
        raise CredentialReportNotReady
    if not 0 <= call.clock.now() - kept.made_at < CREDENTIAL_REPORT_S:
        raise CredentialReportExpired
    return shapes.GetCredentialReportResponse(content=kept.content, report_format="text/csv", generated_time=kept.made_at)


# ── which services were used ─────────────────────────────────────────────────────────────────────────────────────────


def _asked_about(
    call: Call, request: shapes.GenerateServiceLastAccessedDetailsRequest | shapes.ListPoliciesGrantingServiceAccessRequest
) -> Iterable[str]:
    return (request.arn,)


@api.operation("GenerateServiceLastAccessedDetails", resource=_asked_about)
async def generate_service_last_accessed_details(
    call: Call, request: shapes.GenerateServiceLastAccessedDetailsRequest
) -> shapes.GenerateServiceLastAccessedDetailsResponse:
    if request.granularity not in (None, "SERVICE_LEVEL"):
        raise InvalidInput("Uses are kept by service, not by action: the granularity ACTION_LEVEL is not supported by this installation.")
    job = AccessJob(call.ids.uuid(), call.account_id, call.principal.identity_arn, call.clock.now(), request.arn)

    def ask(tx: Tx) -> None:
        if not is_there(tx, call.account_id, request.arn):
            raise NoSuchEntity(f"{request.arn} does not exist.")
        if tx.count(ACCESS_JOBS, "account", call.account_id) >= _MOST_JOBS:
            raise LimitExceeded(f"Cannot exceed quota for ServiceLastAccessedJobs: {_MOST_JOBS}")
        tx.create(ACCESS_JOBS, job)

    await call.store.transact(ask)
    return shapes.GenerateServiceLastAccessedDetailsResponse(job_id=job.job_id)


def _find_job(call: Call, job_id: str) -> AccessJob:
    """Found by whoever asked for it alone."""
    job = call.store.get(ACCESS_JOBS, job_id)
    if job is None or job.account_id != call.account_id or job.asked_by != call.principal.identity_arn:
        raise NoSuchEntity(f"Job {job_id} does not exist.")
    return job


def _status(job: AccessJob) -> tuple[str, float]:
    """And when it was done: the model has that required, so what is under way says when it was begun."""
    return ("COMPLETED", job.made_at) if job.state == "COMPLETE" else ("IN_PROGRESS", job.asked_at)


def _use_of(entity: EntityUses, service: str) -> Use | None:
    return next((use for use in entity.uses if use.service == service), None)


@api.operation("GetServiceLastAccessedDetails", resource=ANY_RESOURCE)
async def get_service_last_accessed_details(
    call: Call, request: shapes.GetServiceLastAccessedDetailsRequest
) -> shapes.GetServiceLastAccessedDetailsResponse:
    job = _find_job(call, request.job_id)
    found = paged(
        call,
        ("GetServiceLastAccessedDetails", job.job_id),
        request.marker,
        request.max_items,
        lambda after, limit: [service for service in job.services if after is None or service > after][:limit],
        lambda service: service,
    )
    status, done_at = _status(job)
    return shapes.GetServiceLastAccessedDetailsResponse(
        job_status=status,
        job_type="SERVICE_LEVEL",
        job_creation_date=job.asked_at,
        job_completion_date=done_at,
        services_last_accessed=tuple(_service(job, service) for service in found.items),
        is_truncated=found.is_truncated,
        marker=found.marker,
    )


def _service(job: AccessJob, service: str) -> shapes.ServiceLastAccessed:
    used = [(use, entity) for entity in job.entities if (use := _use_of(entity, service)) is not None]
    last = max(used, key=lambda each: each[0].used_at, default=None)
    return shapes.ServiceLastAccessed(
        service_name=SERVICES[service],
        service_namespace=service,
        last_authenticated=last[0].used_at if last else None,
        last_authenticated_entity=last[1].arn if last else None,
        last_authenticated_region=last[0].region if last else None,
        total_authenticated_entities=len(used),
    )


@api.operation("GetServiceLastAccessedDetailsWithEntities", resource=ANY_RESOURCE)
async def get_service_last_accessed_details_with_entities(
    call: Call, request: shapes.GetServiceLastAccessedDetailsWithEntitiesRequest
) -> shapes.GetServiceLastAccessedDetailsWithEntitiesResponse:
    """Who used it last comes first; those who never did, last."""
    job, service = _find_job(call, request.job_id), request.service_namespace
    if service not in job.services:
        entities: list[tuple[str, EntityUses, Use | None]] = []
    else:
        used = [(entity, _use_of(entity, service)) for entity in job.entities]
        used.sort(key=lambda each: (-(each[1].used_at if each[1] else 0.0), each[0].arn))
        entities = [(f"{number:08d}", entity, use) for number, (entity, use) in enumerate(used)]
    found = paged(
        call,
        ("GetServiceLastAccessedDetailsWithEntities", job.job_id, service),
        request.marker,
        request.max_items,
        lambda after, limit: [each for each in entities if after is None or each[0] > after][:limit],
        lambda each: each[0],
    )
    status, done_at = _status(job)
    return shapes.GetServiceLastAccessedDetailsWithEntitiesResponse(
        job_status=status,
        job_creation_date=job.asked_at,
        job_completion_date=done_at,
        entity_details_list=tuple(_entity(entity, use) for _, entity, use in found.items),
        is_truncated=found.is_truncated,
        marker=found.marker,
    )


def _entity(entity: EntityUses, use: Use | None) -> shapes.EntityDetails:
    info = shapes.EntityInfo(arn=entity.arn, name=entity.name, type=entity.type, id=entity.id, path=entity.path)
    return shapes.EntityDetails(entity_info=info, last_authenticated=use.used_at if use else None)


# ── which policies grant what ────────────────────────────────────────────────────────────────────────────────────────


@api.operation("ListPoliciesGrantingServiceAccess", resource=_asked_about)
async def list_policies_granting_service_access(
    call: Call, request: shapes.ListPoliciesGrantingServiceAccessRequest
) -> shapes.ListPoliciesGrantingServiceAccessResponse:
    if request.marker is not None:
        raise Validation("Invalid Marker.")  # there is never more than one page
    owner = _owner(call.store, call.account_id, request.arn)
    held = list((held_by_all if isinstance(owner, User) else held_by)(call.store, owner.arn))
    entries = tuple(
        shapes.ListPoliciesGrantingServiceAccessEntry(
            service_namespace=service,
            policies=tuple(_granting(call.store, each) for each in held if grants(each.document, service)),
        )
        for service in dict.fromkeys(request.service_namespaces)
    )
    return shapes.ListPoliciesGrantingServiceAccessResponse(policies_granting_service_access=entries, is_truncated=False)


def _owner(reader: Reader, account_id: str, arn: str) -> User | Group | Role:
    found: list[User | Group | Role] = [*reader.list(USERS, "arn", arn), *reader.list(GROUPS, "arn", arn), *reader.list(ROLES, "arn", arn)]
    if not found or found[0].account_id != account_id:
        raise NoSuchEntity(f"{arn} does not exist.")
    return found[0]


def _granting(reader: Reader, held: Held) -> shapes.PolicyGrantingServiceAccess:
    if held.arn:
        return shapes.PolicyGrantingServiceAccess(policy_name=held.name, policy_type="MANAGED", policy_arn=held.arn)
    owner = _owner(reader, held.owner_arn.split(":")[4], held.owner_arn)
    return shapes.PolicyGrantingServiceAccess(
        policy_name=held.name, policy_type="INLINE", entity_type=owner_word(owner), entity_name=owner.name
    )

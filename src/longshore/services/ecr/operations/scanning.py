"""Image scanning: how often, one scan by hand, and what scans found. Scans themselves are the scanning controller's.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning.html
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.pagination import seal, unseal
from longshore.aws.protocol.model import OperationShape
from longshore.aws.shapes import ecr as shapes
from longshore.scanner.report import Finding, Report
from longshore.services.call import Call
from longshore.services.ecr.api import api
from longshore.services.ecr.errors import (
    ImageArchivedException,
    ImageNotFoundException,
    InvalidParameterException,
    LimitExceededException,
    ScanNotFoundException,
    UnsupportedImageTypeException,
    ValidationException,
)
from longshore.services.ecr.images import Unfound, find_image, find_repository, tags_of
from longshore.services.ecr.model import REPOSITORIES, Image, Repository, image_key
from longshore.services.ecr.names import RepositoryId, described, repository_arn
from longshore.services.ecr.scanning import sbom, views
from longshore.services.ecr.scanning.configuration import checked_rules, frequency_of, scanning_of
from longshore.services.ecr.scanning.model import IMAGE_SCANS, REGISTRY_SCANNING, ImageScan, RegistryScanning
from longshore.services.ecr.scanning.reports import read_report
from longshore.services.ecr.scanning.requests import is_scannable, request_scan
from longshore.services.ecr.scope import repository_of, repository_resource, tag_conditions
from longshore.store.base import Reader, Tx

log = logging.getLogger("longshore.services.ecr")

#: one scan of an image in so many seconds; one that failed may be asked for again at once
EVERY_S = 24 * 3600.0
_PAGE = 100
_INVALID_TOKEN = "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'"


@api.operation("PutImageScanningConfiguration", resource=repository_resource, conditions=tag_conditions)
async def put_image_scanning_configuration(
    call: Call, request: shapes.PutImageScanningConfigurationRequest
) -> shapes.PutImageScanningConfigurationResponse:
    """The repository's own flag. It is kept whatever the registry's rules say, and decides where there are none."""
    meant = repository_of(call, request)
    on_push = bool(request.image_scanning_configuration.scan_on_push)

    def put(tx: Tx) -> Repository:
        return tx.put(REPOSITORIES, replace(find_repository(tx, meant), scan_on_push=on_push))

    repository = await call.store.transact(put)
    return shapes.PutImageScanningConfigurationResponse(
        registry_id=repository.account_id,
        repository_name=repository.name,
        image_scanning_configuration=shapes.ImageScanningConfiguration(scan_on_push=on_push),
    )


@api.operation("PutRegistryScanningConfiguration", resource=ANY_RESOURCE)
async def put_registry_scanning_configuration(
    call: Call, request: shapes.PutRegistryScanningConfigurationRequest
) -> shapes.PutRegistryScanningConfigurationResponse:
    """The whole configuration: what is not given is as in a registry that never had one."""
    scan_type = request.scan_type or "BASIC"
    wanted = RegistryScanning(
        region=call.region,
        account_id=call.account_id,
        scan_type=scan_type,
        rules=checked_rules(scan_type, request.rules or ()),
    )
    await call.store.transact(lambda tx: tx.put(REGISTRY_SCANNING, wanted))
    return shapes.PutRegistryScanningConfigurationResponse(registry_scanning_configuration=views.registry(wanted))


@api.operation("GetRegistryScanningConfiguration", resource=ANY_RESOURCE)
async def get_registry_scanning_configuration(
    call: Call, request: shapes.GetRegistryScanningConfigurationRequest
) -> shapes.GetRegistryScanningConfigurationResponse:
    held = scanning_of(call.store, call.region, call.account_id)
    return shapes.GetRegistryScanningConfigurationResponse(registry_id=call.account_id, scanning_configuration=views.registry(held))


def _named_resources(call: Call, request: shapes.BatchGetRepositoryScanningConfigurationRequest) -> Iterable[str]:
    return [repository_arn(call.region, call.account_id, name) for name in request.repository_names]


@api.operation("BatchGetRepositoryScanningConfiguration", resource=_named_resources)
async def batch_get_repository_scanning_configuration(
    call: Call, request: shapes.BatchGetRepositoryScanningConfigurationRequest
) -> shapes.BatchGetRepositoryScanningConfigurationResponse:
    scanning = scanning_of(call.store, call.region, call.account_id)
    found: list[shapes.RepositoryScanningConfiguration] = []
    failures: list[shapes.RepositoryScanningConfigurationFailure] = []
    for name in dict.fromkeys(request.repository_names):
        held = call.store.get(REPOSITORIES, RepositoryId(call.region, call.account_id, name).key)
        if held is not None:
            found.append(views.repository(held, scanning))
            continue
        failures.append(
            shapes.RepositoryScanningConfigurationFailure(
                repository_name=name,
                failure_code="REPOSITORY_NOT_FOUND",
                failure_reason=f"The repository with name '{name}' does not exist in the registry with id '{call.account_id}'",
            )
        )
    return shapes.BatchGetRepositoryScanningConfigurationResponse(scanning_configurations=tuple(found), failures=tuple(failures))


@api.operation("StartImageScan", resource=repository_resource, conditions=tag_conditions)
async def start_image_scan(call: Call, request: shapes.StartImageScanRequest) -> shapes.StartImageScanResponse:
    """Of basic scanning only: enhanced scanning decides by itself."""
    meant = repository_of(call, request)
    now = call.clock.now()

    def start(tx: Tx) -> tuple[Repository, Image, ImageScan]:
        repository = find_repository(tx, meant)
        image = _image(tx, repository, request.image_id)
        if scanning_of(tx, repository.region, repository.account_id).scan_type == "ENHANCED":
            raise ValidationException("This feature is disabled")
        if not is_scannable(image):
            raise UnsupportedImageTypeException
        if image.archived:
            raise ImageArchivedException
        held = tx.get(IMAGE_SCANS, image_key(repository.key, image.digest))
        if held is not None and (held.status == "IN_PROGRESS" or (held.status != "FAILED" and now - held.requested_at < EVERY_S)):
            raise LimitExceededException(
                "The scan quota per image has been exceeded. Wait and try again: an image can be scanned once every 24 hours."
            )
        return repository, image, request_scan(tx, image, now)

    repository, image, scan = await call.store.transact(start)
    return shapes.StartImageScanResponse(
        registry_id=repository.account_id,
        repository_name=repository.name,
        image_id=shapes.ImageIdentifier(image_digest=image.digest, image_tag=request.image_id.image_tag),
        image_scan_status=views.status(scan, "MANUAL"),
    )


def _image(reader: Reader, repository: Repository, identifier: shapes.ImageIdentifier) -> Image:
    """Raises ImageNotFoundException and InvalidParameterException."""
    try:
        return find_image(reader, repository.key, identifier.image_digest, identifier.image_tag)
    except Unfound as unfound:
        if unfound.code in ("ImageNotFound", "ImageTagDoesNotMatchDigest"):
            asked = described(identifier.image_digest, identifier.image_tag)
            raise ImageNotFoundException(asked, repository.name, repository.account_id) from None
        raise InvalidParameterException(unfound.reason) from None


def _scan(reader: Reader, repository: Repository, image: Image, identifier: shapes.ImageIdentifier) -> ImageScan:
    """Raises ScanNotFoundException."""
    scan = reader.get(IMAGE_SCANS, image_key(repository.key, image.digest))
    if scan is None:
        raise ScanNotFoundException(described(image.digest, identifier.image_tag), repository.name, repository.account_id)
    return scan


@api.operation("DescribeImageScanFindings", resource=repository_resource, conditions=tag_conditions)
async def describe_image_scan_findings(
    call: Call, request: shapes.DescribeImageScanFindingsRequest
) -> shapes.DescribeImageScanFindingsResponse:
    """The worst findings first. While a scan is in progress, those of the one before."""
    repository = find_repository(call.store, repository_of(call, request))
    image = _image(call.store, repository, request.image_id)
    scan = _scan(call.store, repository, image, request.image_id)
    scanning = scanning_of(call.store, repository.region, repository.account_id)
    question = ("DescribeImageScanFindings", repository.key, image.digest, scan.completed_at)
    after = unseal(call.secret_for_signing, question, request.next_token, InvalidParameterException(_INVALID_TOKEN))
    findings: shapes.ImageScanFindings | None = None
    token: str | None = None
    status = views.status(scan, frequency_of(scanning, repository).name)
    if scan.completed_at is not None:
        report = await _report(call, repository, image)
        if report is not None:
            first = int(after or 0)
            last = first + (request.max_results or _PAGE)
            findings = _findings(call, repository, image, scan, scanning, report.findings[first:last])
            token = seal(call.secret_for_signing, question, str(last)) if last < len(report.findings) else None
        elif scan.status == "COMPLETE":
            status = shapes.ImageScanStatus(status="FINDINGS_UNAVAILABLE", description="The report of the scan is missing or damaged.")
    return shapes.DescribeImageScanFindingsResponse(
        registry_id=repository.account_id,
        repository_name=repository.name,
        image_id=shapes.ImageIdentifier(image_digest=image.digest, image_tag=request.image_id.image_tag),
        image_scan_status=status,
        image_scan_findings=findings,
        next_token=token,
    )


async def _report(call: Call, repository: Repository, image: Image) -> Report | None:
    """What the last scan found; None where it found nothing out, or its report is lost."""
    try:
        return await read_report(call.store, call.blobs, repository, image)
    except OSError as error:
        log.error("%s@%s: the report of the last scan cannot be read: %s", repository.key, image.digest, error)
        return None


def _findings(
    call: Call, repository: Repository, image: Image, scan: ImageScan, scanning: RegistryScanning, page: tuple[Finding, ...]
) -> shapes.ImageScanFindings:
    enhanced = scanning.scan_type == "ENHANCED"
    tags = tuple(tags_of(call.store, image)) if enhanced else ()
    return shapes.ImageScanFindings(
        image_scan_completed_at=scan.completed_at,
        vulnerability_source_updated_at=scan.database_updated_at,
        finding_severity_counts=scan.severity_counts,
        findings=None if enhanced else tuple(views.finding(each) for each in page),
        enhanced_findings=tuple(views.enhanced(each, image, repository, tags, scan) for each in page) if enhanced else None,
    )


class LongshoreGetImageSbomRequest(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={"registry_id": "registryId", "repository_name": "repositoryName", "image_id": "imageId"},
):
    registry_id: shapes.RegistryId | None = None
    repository_name: shapes.RepositoryName
    image_id: shapes.ImageIdentifier
    #: cyclonedx or spdx
    format: str | None = None


class LongshoreGetImageSbomResponse(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={
        "registry_id": "registryId",
        "repository_name": "repositoryName",
        "image_id": "imageId",
        "scanned_by": "scannedBy",
    },
):
    registry_id: str
    repository_name: str
    image_id: shapes.ImageIdentifier
    format: str
    scanned_by: str
    #: what could not be looked at
    notes: tuple[str, ...] = ()
    document: dict[str, Any]


@api.operation(
    "LongshoreGetImageSbom",
    resource=repository_resource,
    conditions=tag_conditions,
    shape=OperationShape("LongshoreGetImageSbom", LongshoreGetImageSbomRequest, LongshoreGetImageSbomResponse),
)
async def get_image_sbom(call: Call, request: LongshoreGetImageSbomRequest) -> LongshoreGetImageSbomResponse:
    """What the last scan found installed, whether or not a vulnerability database was there to match it with."""
    form = request.format or "cyclonedx"
    if form not in sbom.FORMATS:
        raise InvalidParameterException(f"Invalid parameter at 'format' failed to satisfy constraint: 'one of {', '.join(sbom.FORMATS)}'")
    repository = find_repository(call.store, repository_of(call, request))
    image = _image(call.store, repository, request.image_id)
    scan = _scan(call.store, repository, image, request.image_id)
    report = await _report(call, repository, image)
    if report is None:
        raise ScanNotFoundException(described(image.digest, request.image_id.image_tag), repository.name, repository.account_id)
    return LongshoreGetImageSbomResponse(
        registry_id=repository.account_id,
        repository_name=repository.name,
        image_id=shapes.ImageIdentifier(image_digest=image.digest, image_tag=request.image_id.image_tag),
        format=form,
        scanned_by=report.scanner,
        notes=report.notes,
        document=sbom.FORMATS[form](report, image, repository, scan.ended_at or scan.requested_at),
    )

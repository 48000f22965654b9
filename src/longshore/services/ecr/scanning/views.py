"""Scans as ECR shows them: status, summary, findings of basic scanning and of enhanced scanning."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import cast

from longshore.aws.arn import arn
from longshore.aws.shapes import ecr as shapes
from longshore.scanner.report import Finding
from longshore.scanner.severity import version_of
from longshore.services.ecr.model import Image, Repository, image_key
from longshore.services.ecr.scanning.configuration import frequency_of, scanning_of
from longshore.services.ecr.scanning.model import IMAGE_SCANS, ImageScan, RegistryScanning
from longshore.store.base import Reader

_MANAGERS = {"dpkg": "OS", "apk": "OS", "rpm": "OS", "pip": "PYTHONPKG", "npm": "NODEPKG"}


def registry(held: RegistryScanning) -> shapes.RegistryScanningConfiguration:
    return shapes.RegistryScanningConfiguration(
        scan_type=held.scan_type,
        rules=tuple(
            shapes.RegistryScanningRule(scan_frequency=cast(shapes.ScanFrequency, rule.frequency), repository_filters=filters(rule.filters))
            for rule in held.rules
        ),
    )


def filters(patterns: Iterable[str]) -> tuple[shapes.ScanningRepositoryFilter, ...]:
    return tuple(shapes.ScanningRepositoryFilter(filter=each, filter_type="WILDCARD") for each in patterns)


def repository(held: Repository, scanning: RegistryScanning) -> shapes.RepositoryScanningConfiguration:
    frequency = frequency_of(scanning, held)
    return shapes.RepositoryScanningConfiguration(
        repository_arn=held.arn,
        repository_name=held.name,
        scan_on_push=frequency.name == "SCAN_ON_PUSH",
        scan_frequency=frequency.name,
        applied_scan_filters=filters(frequency.filters),
    )


def status(scan: ImageScan, frequency: str) -> shapes.ImageScanStatus:
    if scan.status == "COMPLETE" and frequency == "CONTINUOUS_SCAN":
        return shapes.ImageScanStatus(status="ACTIVE", description=f"Continuous scan is selected for image. {scan.description}".strip())
    return shapes.ImageScanStatus(status=scan.status, description=scan.description or None)


def of_image(
    reader: Reader, image: Image, held: Repository
) -> tuple[shapes.ImageScanStatus | None, shapes.ImageScanFindingsSummary | None]:
    """What DescribeImages shows of it."""
    scan = reader.get(IMAGE_SCANS, image_key(image.repository, image.digest))
    if scan is None:
        return None, None
    summary = None
    if scan.completed_at is not None:
        summary = shapes.ImageScanFindingsSummary(
            image_scan_completed_at=scan.completed_at,
            vulnerability_source_updated_at=scan.database_updated_at,
            finding_severity_counts=scan.severity_counts,
        )
    return status(scan, frequency_of(scanning_of(reader, held.region, held.account_id), held).name), summary


def finding(found: Finding) -> shapes.ImageScanFinding:
    attributes = {"package_name": found.package, "package_version": found.version}
    if found.cvss_vector:
        kind = f"CVSS{version_of(found.cvss_vector).partition('.')[0]}"
        attributes[f"{kind}_VECTOR"] = found.cvss_vector
        if found.cvss_score is not None:
            attributes[f"{kind}_SCORE"] = f"{found.cvss_score:.1f}"
    if found.fixed_in:
        attributes["fixed_in_version"] = found.fixed_in
    return shapes.ImageScanFinding(
        name=found.name,
        description=found.description or None,
        uri=found.uri or None,
        severity=found.severity,
        attributes=tuple(shapes.Attribute(key=key, value=value) for key, value in attributes.items()),
    )


def enhanced(found: Finding, image: Image, held: Repository, tags: tuple[str, ...], scan: ImageScan) -> shapes.EnhancedImageScanFinding:
    """As Amazon Inspector words it; its ARN names no Inspector, but always the same finding."""
    identity = hashlib.sha256("\0".join((image.repository, image.digest, found.name, found.package, found.version, found.path)).encode())
    return shapes.EnhancedImageScanFinding(
        aws_account_id=held.account_id,
        description=found.description or None,
        finding_arn=arn("inspector2", held.region, held.account_id, f"finding/{identity.hexdigest()[:32]}"),
        first_observed_at=found.first_observed_at,
        last_observed_at=scan.completed_at,
        updated_at=scan.completed_at,
        package_vulnerability_details=_details(found),
        resources=(_resource(image, held, tags),),
        score=found.cvss_score,
        score_details=_score_details(found),
        severity="UNTRIAGED" if found.severity == "UNDEFINED" else found.severity,
        status="ACTIVE",
        title=f"{found.name} - {found.package}",
        type="PACKAGE_VULNERABILITY",
        fix_available="YES" if found.fixed_in else "NO",
    )


def _details(found: Finding) -> shapes.PackageVulnerabilityDetails:
    scores: tuple[shapes.CvssScore, ...] = ()
    if found.cvss_vector:
        scores = (
            shapes.CvssScore(
                base_score=found.cvss_score,
                scoring_vector=found.cvss_vector,
                source=found.source,
                version=version_of(found.cvss_vector),
            ),
        )
    return shapes.PackageVulnerabilityDetails(
        cvss=scores,
        reference_urls=found.references,
        related_vulnerabilities=found.related,
        source=found.source or None,
        source_url=found.uri or None,
        vendor_created_at=found.published_at,
        vendor_severity=found.severity,
        vendor_updated_at=found.modified_at,
        vulnerability_id=found.name,
        vulnerable_packages=(
            shapes.VulnerablePackage(
                arch=found.arch or None,
                file_path=found.path or None,
                name=found.package,
                package_manager=_MANAGERS.get(found.manager, found.manager.upper() or None),
                source_layer_hash=found.layer or None,
                version=found.version,
                fixed_in_version=found.fixed_in or None,
            ),
        ),
    )


def _score_details(found: Finding) -> shapes.ScoreDetails | None:
    if found.cvss_score is None:
        return None
    details = shapes.CvssScoreDetails(
        score=found.cvss_score, score_source=found.source, scoring_vector=found.cvss_vector, version=version_of(found.cvss_vector)
    )
    return shapes.ScoreDetails(cvss=details)


def _resource(image: Image, held: Repository, tags: tuple[str, ...]) -> shapes.Resource:
    details = shapes.AwsEcrContainerImageDetails(
        image_hash=image.digest,
        image_tags=tags,
        pushed_at=image.pushed_at,
        registry=held.account_id,
        repository_name=held.name,
    )
    return shapes.Resource(
        details=shapes.ResourceDetails(aws_ecr_container_image=details),
        id=f"{held.arn}/{image.digest}",
        type="AWS_ECR_CONTAINER_IMAGE",
    )

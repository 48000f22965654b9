"""Scans over the API: asked for, under way, and what they found."""

from __future__ import annotations

import json
from typing import Any

import pytest

from longshore.aws.errors import AwsError
from longshore.aws.shapes.ecr import ImageIdentifier
from longshore.scanner.report import Distribution, Package, Report
from longshore.services.ecr.model import REGISTRY_EVENTS
from longshore.services.ecr.operations.scanning import LongshoreGetImageSbomRequest, get_image_sbom
from longshore.services.ecr.scanning.model import IMAGE_SCAN_REPORTS, IMAGE_SCANS
from tests.services.ecr.conftest import Ecr
from tests.services.ecr.scanning.stage import finding, manifest, push, report, scanned
from tests.services.ecr.scanning.test_configuration import rule

WEB = {"repositoryName": "web", "imageId": {"imageTag": "1"}}


@pytest.fixture
async def digest(ecr: Ecr) -> str:
    await ecr("CreateRepository", repositoryName="web")
    return await push(ecr, "web", "1")


async def status(ecr: Ecr) -> str:
    return str((await ecr("DescribeImageScanFindings", **WEB))["imageScanStatus"]["status"])


async def test_a_scan_by_hand(ecr: Ecr, digest: str) -> None:
    started = await ecr("StartImageScan", **WEB)
    assert started == {
        "registryId": "000000000000",
        "repositoryName": "web",
        "imageId": {"imageDigest": digest, "imageTag": "1"},
        "imageScanStatus": {"status": "IN_PROGRESS"},
    }
    assert await status(ecr) == "IN_PROGRESS"
    said = await scanned(
        ecr, report(finding("CVE-2099-1", "CRITICAL", cvss_score=9.8, cvss_vector="CVSS:3.1/AV:N", fixed_in="2.0", uri="https://x"))
    )
    assert said.seen == [digest]
    got = await ecr("DescribeImageScanFindings", **WEB)
    assert got["imageScanStatus"] == {"status": "COMPLETE", "description": "The scan was completed successfully."}
    findings = got["imageScanFindings"]
    assert findings["findingSeverityCounts"] == {"CRITICAL": 1}
    assert findings["imageScanCompletedAt"].timestamp() == ecr.clock.now()
    assert findings["vulnerabilitySourceUpdatedAt"].timestamp() == 1_600_000_000
    (found,) = findings["findings"]
    assert (found["name"], found["severity"], found["uri"]) == ("CVE-2099-1", "CRITICAL", "https://x")
    attributes = {each["key"]: each["value"] for each in found["attributes"]}
    assert attributes == {
        "package_name": "harbourlib",
        "package_version": "1.0",
        "CVSS3_VECTOR": "CVSS:3.1/AV:N",
        "CVSS3_SCORE": "9.8",
        "fixed_in_version": "2.0",
    }


async def test_describe_images_tells_of_the_scan(ecr: Ecr, digest: str) -> None:
    (before,) = (await ecr("DescribeImages", repositoryName="web"))["imageDetails"]
    assert "imageScanStatus" not in before
    await ecr("StartImageScan", **WEB)
    (under_way,) = (await ecr("DescribeImages", repositoryName="web"))["imageDetails"]
    assert under_way["imageScanStatus"] == {"status": "IN_PROGRESS"}
    assert "imageScanFindingsSummary" not in under_way
    await scanned(ecr, report(finding("CVE-2099-1"), finding("CVE-2099-2"), finding("CVE-2099-3", "LOW")))
    (after,) = (await ecr("DescribeImages", repositoryName="web"))["imageDetails"]
    assert after["imageScanStatus"]["status"] == "COMPLETE"
    assert after["imageScanFindingsSummary"]["findingSeverityCounts"] == {"HIGH": 2, "LOW": 1}


async def test_one_scan_a_day(ecr: Ecr, digest: str) -> None:
    await ecr("StartImageScan", **WEB)
    assert (await ecr.refused("StartImageScan", **WEB))[0] == "LimitExceededException"
    await scanned(ecr, report())
    assert (await ecr.refused("StartImageScan", **WEB))[0] == "LimitExceededException"
    await ecr.clock.step(24 * 3600)
    await ecr("StartImageScan", **WEB)


async def test_a_scan_that_failed_may_be_asked_for_again_at_once(ecr: Ecr, digest: str) -> None:
    await ecr("StartImageScan", **WEB)
    await scanned(ecr, report(failure="no vulnerability database"))
    got = await ecr("DescribeImageScanFindings", **WEB)
    assert got["imageScanStatus"] == {"status": "FAILED", "description": "no vulnerability database"}
    assert "imageScanFindings" not in got
    await ecr("StartImageScan", **WEB)
    await scanned(ecr, report())
    assert await status(ecr) == "COMPLETE"


async def test_a_failed_scan_leaves_no_findings_of_the_one_before(ecr: Ecr, digest: str) -> None:
    await ecr("StartImageScan", **WEB)
    await scanned(ecr, report(finding("CVE-2099-1")))
    await ecr.clock.step(24 * 3600)
    await ecr("StartImageScan", **WEB)
    under_way = await ecr("DescribeImageScanFindings", **WEB)
    assert (under_way["imageScanStatus"]["status"], len(under_way["imageScanFindings"]["findings"])) == ("IN_PROGRESS", 1)
    await scanned(ecr, report(failure="the layer is damaged"))
    assert "imageScanFindings" not in await ecr("DescribeImageScanFindings", **WEB)
    (image,) = (await ecr("DescribeImages", repositoryName="web"))["imageDetails"]
    assert "imageScanFindingsSummary" not in image


async def test_an_image_nothing_is_known_of_is_unsupported(ecr: Ecr, digest: str) -> None:
    await ecr("StartImageScan", **WEB)
    await scanned(ecr, Report(scanner="said", unsupported=True, failure="no packages that are known here"))
    got = await ecr("DescribeImageScanFindings", **WEB)
    assert got["imageScanStatus"]["status"] == "UNSUPPORTED_IMAGE"
    assert got["imageScanStatus"]["description"].startswith("UnsupportedImageError: no packages")


async def test_pages_of_findings_the_worst_first(ecr: Ecr, digest: str) -> None:
    await ecr("StartImageScan", **WEB)
    severities = ["LOW", "CRITICAL", "MEDIUM", "HIGH", "UNDEFINED", "INFORMATIONAL"]
    await scanned(ecr, report(*(finding(f"CVE-2099-{number:04}", severities[number % 6]) for number in range(250))))
    names: list[str] = []
    ranks: list[str] = []
    more: dict[str, Any] = {}
    sizes = []
    while True:
        got = await ecr("DescribeImageScanFindings", **WEB, **more)
        page = got["imageScanFindings"]["findings"]
        sizes.append(len(page))
        names += [each["name"] for each in page]
        ranks += [each["severity"] for each in page]
        assert sum(got["imageScanFindings"]["findingSeverityCounts"].values()) == 250
        if "nextToken" not in got:
            break
        more = {"nextToken": got["nextToken"], "maxResults": 70}
    assert sizes == [100, 70, 70, 10]
    assert len(set(names)) == 250
    assert ranks == sorted(ranks, key=["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED"].index)
    code, message = await ecr.refused("DescribeImageScanFindings", **WEB, nextToken=more["nextToken"][:-2] + "xx")
    assert (code, "nextToken" in message) == ("InvalidParameterException", True)


async def test_tokens_of_an_earlier_scan_are_refused(ecr: Ecr, digest: str) -> None:
    await ecr("StartImageScan", **WEB)
    await scanned(ecr, report(finding("CVE-2099-1"), finding("CVE-2099-2")))
    token = (await ecr("DescribeImageScanFindings", **WEB, maxResults=1))["nextToken"]
    await ecr.clock.step(24 * 3600)
    await ecr("StartImageScan", **WEB)
    await scanned(ecr, report(finding("CVE-2099-3")))
    assert (await ecr.refused("DescribeImageScanFindings", **WEB, nextToken=token))[0] == "InvalidParameterException"


async def test_what_was_never_scanned_or_is_not_there(ecr: Ecr, digest: str) -> None:
    code, message = await ecr.refused("DescribeImageScanFindings", **WEB)
    assert code == "ScanNotFoundException"
    assert f"imageDigest:'{digest}', imageTag:'1'" in message
    for operation in ("StartImageScan", "DescribeImageScanFindings"):
        assert (await ecr.refused(operation, repositoryName="none", imageId={"imageTag": "1"}))[0] == "RepositoryNotFoundException"
        assert (await ecr.refused(operation, repositoryName="web", imageId={"imageTag": "no"}))[0] == "ImageNotFoundException"
        assert (await ecr.refused(operation, repositoryName="web", imageId={}))[0] == "InvalidParameterException"


async def test_indexes_and_artifacts_cannot_be_scanned(ecr: Ecr, digest: str) -> None:
    child = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1}
    index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [child]})
    await ecr("PutImage", repositoryName="web", imageTag="index", imageManifest=index)
    await push(ecr, "web", "chart", config_type="application/vnd.cncf.helm.config.v1+json")
    await push(ecr, "web", "signature", subject=child)
    await ecr.store_blob("web", b"statement")
    statement = json.loads(manifest(b'{"architecture":"amd64","os":"linux"}', [b"statement"]))
    statement["layers"][0]["mediaType"] = "application/vnd.in-toto+json"
    await ecr("PutImage", repositoryName="web", imageTag="attestation", imageManifest=json.dumps(statement))
    for tag in ("index", "chart", "signature", "attestation"):
        assert (await ecr.refused("StartImageScan", repositoryName="web", imageId={"imageTag": tag}))[
            0
        ] == "UnsupportedImageTypeException", tag


async def test_archived_images_are_not_scanned(ecr: Ecr, digest: str) -> None:
    await ecr("UpdateImageStorageClass", **WEB, targetStorageClass="ARCHIVE")
    assert (await ecr.refused("StartImageScan", repositoryName="web", imageId={"imageDigest": digest}))[0] == "ImageArchivedException"


async def test_scan_on_push(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="web", imageScanningConfiguration={"scanOnPush": True})
    await push(ecr, "web", "1")
    assert await status(ecr) == "IN_PROGRESS"
    await scanned(ecr, report())
    await ecr(
        "PutImage",
        repositoryName="web",
        imageTag="2",
        imageManifest=manifest(b'{"architecture":"amd64","os":"linux"}', [b"layer of web:1"]),
    )
    assert await status(ecr) == "COMPLETE", "the same image under another tag is not scanned again"
    assert (await ecr.refused("StartImageScan", **WEB))[0] == "LimitExceededException"
    await push(ecr, "web", "chart", config_type="application/vnd.cncf.helm.config.v1+json")
    assert (await ecr.refused("DescribeImageScanFindings", repositoryName="web", imageId={"imageTag": "chart"}))[
        0
    ] == "ScanNotFoundException"


async def test_rules_of_the_registry_scan_on_push(ecr: Ecr) -> None:
    await ecr("PutRegistryScanningConfiguration", scanType="BASIC", rules=[rule("SCAN_ON_PUSH", "web")])
    await ecr("CreateRepository", repositoryName="web")
    await ecr("CreateRepository", repositoryName="other", imageScanningConfiguration={"scanOnPush": True})
    await push(ecr, "web", "1")
    await push(ecr, "other", "1")
    assert await status(ecr) == "IN_PROGRESS"
    assert (await ecr.refused("DescribeImageScanFindings", repositoryName="other", imageId={"imageTag": "1"}))[0] == "ScanNotFoundException"


async def test_enhanced_findings(ecr: Ecr) -> None:
    await ecr("PutRegistryScanningConfiguration", scanType="ENHANCED", rules=[rule("CONTINUOUS_SCAN", "web")])
    await ecr("CreateRepository", repositoryName="web")
    digest = await push(ecr, "web", "1")
    assert (await ecr.refused("StartImageScan", **WEB))[0] == "ValidationException"
    found = finding(
        "CVE-2099-1",
        "UNDEFINED",
        cvss_score=9.8,
        cvss_vector="CVSS:3.1/AV:N",
        source="Debian:12",
        manager="dpkg",
        layer="sha256:l",
        fixed_in="2",
    )
    await scanned(ecr, report(found, finding("CVE-2099-2")))
    got = await ecr("DescribeImageScanFindings", **WEB)
    assert got["imageScanStatus"]["status"] == "ACTIVE"
    assert "findings" not in got["imageScanFindings"]
    _, enhanced = got["imageScanFindings"]["enhancedFindings"]
    assert (enhanced["severity"], enhanced["status"], enhanced["type"]) == ("UNTRIAGED", "ACTIVE", "PACKAGE_VULNERABILITY")
    assert (enhanced["title"], enhanced["fixAvailable"], enhanced["score"]) == ("CVE-2099-1 - harbourlib", "YES", 9.8)
    details = enhanced["packageVulnerabilityDetails"]
    assert details["vulnerabilityId"] == "CVE-2099-1"
    assert details["cvss"] == [{"baseScore": 9.8, "scoringVector": "CVSS:3.1/AV:N", "source": "Debian:12", "version": "3.1"}]
    (package,) = details["vulnerablePackages"]
    assert package == {"name": "harbourlib", "version": "1.0", "packageManager": "OS", "sourceLayerHash": "sha256:l", "fixedInVersion": "2"}
    (resource,) = enhanced["resources"]
    assert resource["details"]["awsEcrContainerImage"]["imageTags"] == ["1"]
    assert resource["id"].endswith(f"repository/web/{digest}")
    assert enhanced["firstObservedAt"] == enhanced["lastObservedAt"]


async def test_what_is_known_of_scans_goes_with_the_image(ecr: Ecr, digest: str) -> None:
    await ecr("StartImageScan", **WEB)
    await scanned(ecr, report(finding("CVE-2099-1")))
    store = ecr.call.store
    assert (store.count(IMAGE_SCANS), store.count(IMAGE_SCAN_REPORTS)) == (1, 1)
    await ecr("BatchDeleteImage", repositoryName="web", imageIds=[{"imageDigest": digest}])
    assert (store.count(IMAGE_SCANS), store.count(IMAGE_SCAN_REPORTS)) == (0, 0)
    await push(ecr, "web", "1")
    await ecr("StartImageScan", **WEB)
    await scanned(ecr, report(finding("CVE-2099-1")))
    await ecr("DeleteRepository", repositoryName="web", force=True)
    assert (store.count(IMAGE_SCANS), store.count(IMAGE_SCAN_REPORTS)) == (0, 0)


async def test_the_event_of_a_scan(ecr: Ecr, digest: str) -> None:
    await ecr("StartImageScan", **WEB)
    await scanned(ecr, report(finding("CVE-2099-1", "CRITICAL")))
    (event,) = (each for each in ecr.call.store.list(REGISTRY_EVENTS) if each.detail_type == "ECR Image Scan")
    assert event.detail == {
        "scan-status": "COMPLETE",
        "repository-name": "web",
        "finding-severity-counts": {"CRITICAL": 1},
        "image-digest": digest,
        "image-tags": ["1"],
    }


# ── bills of materials ──


async def sbom(ecr: Ecr, form: str | None = None) -> dict[str, Any]:
    request = LongshoreGetImageSbomRequest(repository_name="web", image_id=ImageIdentifier(image_tag="1"), format=form)
    answer = await get_image_sbom(ecr.call, request)
    return dict(answer.document)


PACKAGES = (
    Package("libharbour", "2:1.0-1", "dpkg", arch="amd64", source="harbourlib", path="var/lib/dpkg/status"),
    Package("@scope/chain", "4.0.0", "npm"),
    Package("buoy", "1.2", "pip"),
)


async def test_bills_of_materials_even_where_no_database_was(ecr: Ecr, digest: str) -> None:
    await ecr("StartImageScan", **WEB)
    failed = Report(scanner="said", packages=PACKAGES, distribution=Distribution("debian", "12"), failure="no vulnerability database")
    await scanned(ecr, failed)
    cyclonedx = await sbom(ecr)
    assert (cyclonedx["bomFormat"], cyclonedx["specVersion"]) == ("CycloneDX", "1.5")
    purls = [each["purl"] for each in cyclonedx["components"] if "purl" in each]
    assert purls == [
        "pkg:deb/debian/libharbour@2%3A1.0-1?arch=amd64&distro=debian-12",
        "pkg:npm/%40scope/chain@4.0.0",
        "pkg:pypi/buoy@1.2",
    ]
    assert len({each.get("bom-ref", each["name"]) for each in cyclonedx["components"]}) == 4
    spdx = await sbom(ecr, "spdx")
    assert (spdx["spdxVersion"], len(spdx["packages"]), len(spdx["relationships"])) == ("SPDX-2.3", 4, 4)
    identities = [each["SPDXID"] for each in spdx["packages"]]
    assert len(set(identities)) == 4
    assert await sbom(ecr, "spdx") == spdx


async def test_no_bill_of_materials_before_a_scan_nor_in_unknown_forms(ecr: Ecr, digest: str) -> None:
    for form, code in (("spdx", "ScanNotFoundException"), ("pdf", "InvalidParameterException")):
        with pytest.raises(AwsError) as caught:
            await sbom(ecr, form)
        assert caught.value.code == code

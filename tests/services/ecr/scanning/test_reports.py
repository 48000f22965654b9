"""Reports are kept whole where they fit, and say what was left out where they do not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.registry.naming import is_named, set_of
from longshore.scanner.report import SEVERITIES, Finding, Package, Report, in_order
from longshore.services.ecr.content import content_of
from longshore.services.ecr.model import REPOSITORIES
from longshore.services.ecr.scanning.model import IMAGE_SCAN_REPORTS
from longshore.services.ecr.scanning.reports import LARGEST, dated, pack, unpack
from tests.services.ecr.conftest import ACCOUNT, REGION, Ecr
from tests.services.ecr.scanning.stage import push, report, scanned

_TEXT = st.text(max_size=20)
_FINDINGS = st.builds(Finding, name=_TEXT, severity=st.sampled_from(SEVERITIES), package=_TEXT, version=_TEXT, description=_TEXT)


@given(st.lists(_FINDINGS, max_size=20), st.lists(st.builds(Package, name=_TEXT, version=_TEXT, manager=_TEXT), max_size=20))
def test_a_report_comes_back_as_it_was_packed(findings: list[Finding], packages: list[Package]) -> None:
    packed = Report(scanner="x", packages=tuple(packages), findings=in_order(findings))
    assert unpack(pack(packed)) == packed


def test_large_reports_lose_texts_first_and_then_the_mildest_findings() -> None:
    chance = random.Random(1)

    def finding(number: int, length: int) -> Finding:
        return Finding(
            name=f"CVE-{number:05}",
            severity=SEVERITIES[number % 6],
            package=chance.randbytes(20).hex(),
            version="1",
            description=chance.randbytes(length).hex(),
        )

    wordy = unpack(pack(Report(scanner="x", findings=tuple(finding(number, 500) for number in range(4000)))))
    assert len(wordy.findings) == 4000
    assert not any(each.description for each in wordy.findings)
    assert "descriptions are left out for their size" in wordy.notes
    packages = tuple(Package(chance.randbytes(60).hex(), "1", "npm", path=chance.randbytes(60).hex()) for _ in range(20_000))
    packed = pack(Report(scanner="x", packages=packages, findings=tuple(finding(number, 1) for number in range(9000))))
    assert len(packed) <= LARGEST
    kept = unpack(packed)
    assert kept.findings
    assert all(each.severity == "CRITICAL" for each in kept.findings[:100])
    assert any("worst findings" in note for note in kept.notes)


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_reports_blob_is_kept_for_as_long_as_the_image(ecr: Ecr, encrypted: bool) -> None:
    kind = "KMS" if encrypted else "AES256"
    await ecr("CreateRepository", repositoryName="web", encryptionConfiguration={"encryptionType": kind})
    await ecr("CreateRepository", repositoryName="other", encryptionConfiguration={"encryptionType": kind})
    digest = await push(ecr, "web", "1")
    await ecr("StartImageScan", repositoryName="web", imageId={"imageTag": "1"})
    await scanned(ecr, report(Finding("CVE-2099-1", "LOW", "p", "1")))
    store = ecr.call.store
    (kept,) = store.list(IMAGE_SCAN_REPORTS)
    web, other = (store.list(REPOSITORIES, "scope", f"{REGION}:{ACCOUNT}")[at] for at in (1, 0))
    assert content_of(ecr.call.blobs, web).size(kept.content) is not None
    assert (ecr.call.blobs.size(kept.content) is None) is encrypted, "what is found in an image is as secret as the image"
    assert is_named(store, set_of(web), kept.content)
    assert is_named(store, set_of(other), kept.content) is not encrypted
    await ecr("BatchDeleteImage", repositoryName="web", imageIds=[{"imageDigest": digest}])
    assert not is_named(store, set_of(web), kept.content)


async def test_a_report_that_is_gone_or_broken_costs_no_scan(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="web")
    await push(ecr, "web", "1")
    named = {"repositoryName": "web", "imageId": {"imageTag": "1"}}
    await ecr("StartImageScan", **named)
    await scanned(ecr, report(Finding("CVE-2099-1", "LOW", "p", "1")))
    (kept,) = ecr.call.store.list(IMAGE_SCAN_REPORTS)
    await ecr.call.blobs.delete(kept.content)
    lost = await ecr("DescribeImageScanFindings", **named)
    assert (lost["imageScanStatus"]["status"], "imageScanFindings" in lost) == ("FINDINGS_UNAVAILABLE", False)
    await ecr.clock.step(24 * 3600)
    await ecr("StartImageScan", **named)
    await scanned(ecr, report(Finding("CVE-2099-1", "LOW", "p", "1")))
    assert len((await ecr("DescribeImageScanFindings", **named))["imageScanFindings"]["findings"]) == 1


def test_a_finding_keeps_the_time_at_which_it_was_first_seen() -> None:
    old, new = Finding("CVE-1", "LOW", "p", "1"), Finding("CVE-2", "LOW", "p", "1")
    first = dated(Report(scanner="x", findings=(old,)), None, 100.0)
    second = dated(Report(scanner="x", findings=(old, new)), first, 200.0)
    assert [each.first_observed_at for each in second.findings] == [100.0, 200.0]

"""ACM as it is asked: certificates brought along or asked for, what they are refused for, and what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from longshore.aws.errors import AwsError
from longshore.aws.shapes import acm as shapes
from longshore.control.certificates.controller import Certificates
from longshore.kit.certificates import Authority
from longshore.services.acm.api import api
from longshore.services.acm.material import material_of
from longshore.services.acm.model import CERTIFICATES
from longshore.services.acm.operations.certificates import TOKEN_S
from longshore.services.elbv2.model import LISTENERS
from tests.services.acm.making import Made
from tests.services.ec2.wire import SECRET, Cloud

DAY_S = 86_400.0
NOW = 1_700_000_000.0
ROOT = Made("Root", NOW, authority=True, days=3650)
MIDDLE = Made("Middle", NOW, authority=True, issuer=ROOT, days=3650)
LEAF = Made("web.example", NOW, names=("web.example", "*.web.example"), issuer=MIDDLE)
AUTHORITY = Authority.make("Longshore test", NOW)


@pytest.fixture
async def cloud() -> Cloud:
    return Cloud()


async def code(cloud: Cloud, operation: str, **parameters: Any) -> str:
    with pytest.raises(AwsError) as raised:
        await cloud.acm(operation, **parameters)
    return raised.value.wire("json")[0]


async def issue(cloud: Cloud) -> None:
    """What the controller does with everything that waits for it."""
    controller = Certificates(cloud.store, cloud.clock, lambda now: AUTHORITY, SECRET)
    for arn in list(controller.keys()):
        await controller.reconcile(arn)


async def requested(cloud: Cloud, name: str = "web.example", **more: Any) -> str:
    asked = {"DomainName": name, "ValidationMethod": "DNS", "KeyAlgorithm": "EC_prime256v1", **more}
    return str((await cloud.acm("RequestCertificate", **asked))["CertificateArn"])


async def imported(cloud: Cloud, made: Made = LEAF, **more: Any) -> str:
    return str((await cloud.acm("ImportCertificate", Certificate=made.pem, PrivateKey=made.key, **more))["CertificateArn"])


async def detail(cloud: Cloud, arn: str) -> dict[str, Any]:
    return dict((await cloud.acm("DescribeCertificate", CertificateArn=arn))["Certificate"])


def test_every_operation_with_a_shape_is_served() -> None:
    assert set(api.operations) == set(shapes.OPERATIONS)


# ── brought along ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_imported_certificate_is_described_and_its_key_lies_sealed(cloud: Cloud) -> None:
    arn = await imported(cloud, CertificateChain=MIDDLE.pem + ROOT.pem, Tags=[{"Key": "team", "Value": "web"}])
    shown = await detail(cloud, arn)
    assert (shown["Type"], shown["Status"], shown["DomainName"]) == ("IMPORTED", "ISSUED", "web.example")
    assert shown["SubjectAlternativeNames"] == ["web.example", "*.web.example"]
    assert (shown["KeyAlgorithm"], shown["Issuer"], shown["InUseBy"]) == ("EC_prime256v1", "Middle", [])
    assert "DomainValidationOptions" not in shown
    got = await cloud.acm("GetCertificate", CertificateArn=arn)
    assert (got["Certificate"].encode(), got["CertificateChain"].encode()) == (LEAF.pem, MIDDLE.pem + ROOT.pem)
    kept = cloud.store.get(CERTIFICATES, arn)
    material = material_of(cloud.store, arn, SECRET)
    assert kept is not None
    assert material is not None
    assert material.key == LEAF.key
    assert LEAF.key not in kept.sealed_key
    assert b"PRIVATE" not in kept.sealed_key
    assert (await cloud.acm("ListTagsForCertificate", CertificateArn=arn))["Tags"] == [{"Key": "team", "Value": "web"}]


@pytest.mark.parametrize(
    ("certificate", "key", "chain", "words"),
    [
        (b"nonsense", LEAF.key, b"", "PEM"),
        (LEAF.pem + MIDDLE.pem, LEAF.key, b"", "more than one"),
        (LEAF.pem, ROOT.key, b"", "does not match"),
        (LEAF.pem, LEAF.locked_key(b"secret"), b"", "encrypted"),
        (LEAF.pem, b"nonsense", b"", "PEM"),
        (LEAF.pem, LEAF.key, ROOT.pem, "chain"),
        (LEAF.pem, LEAF.key, ROOT.pem + MIDDLE.pem, "chain"),
        (LEAF.pem, LEAF.key, b"nonsense", "chain"),
        (LEAF.pem, LEAF.key, MIDDLE.pem * 21, "more than 20"),
    ],
)
async def test_what_does_not_fit_together_is_refused(cloud: Cloud, certificate: bytes, key: bytes, chain: bytes, words: str) -> None:
    more = {"CertificateChain": chain} if chain else {}
    with pytest.raises(AwsError, match=words) as raised:
        await cloud.acm("ImportCertificate", Certificate=certificate, PrivateKey=key, **more)
    assert raised.value.wire("json")[0] == "ValidationException"
    assert not cloud.store.list(CERTIFICATES)


async def test_certificates_that_have_ended_or_not_begun_or_have_odd_keys_are_refused(cloud: Cloud) -> None:
    for made, words in (
        (Made("a.example", NOW, starts=NOW - 2 * DAY_S, days=1), "expired"),
        (Made("a.example", NOW, starts=NOW + DAY_S), "not valid yet"),
        (Made("a.example", NOW, key=ed25519.Ed25519PrivateKey.generate()), "not supported"),
    ):
        with pytest.raises(AwsError, match=words):
            await imported(cloud, made)


async def test_importing_again_keeps_the_arn_the_tags_and_the_kind_of_key(cloud: Cloud) -> None:
    arn = await imported(cloud, Tags=[{"Key": "team", "Value": "web"}])
    await cloud.clock.step(60)
    newer = Made("web.example", NOW + 60)
    assert await imported(cloud, newer, CertificateArn=arn) == arn
    kept = cloud.store.get(CERTIFICATES, arn)
    assert kept is not None
    assert (kept.certificate, kept.created_at, kept.imported_at, kept.tags[0].key) == (newer.pem, NOW, NOW + 60, "team")
    asked = {"Certificate": newer.pem, "PrivateKey": newer.key, "CertificateArn": arn}
    assert await code(cloud, "ImportCertificate", **asked, Tags=[{"Key": "a", "Value": "b"}]) == "ValidationException"
    other = Made("web.example", NOW, key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    changed = {"Certificate": other.pem, "PrivateKey": other.key}
    assert await code(cloud, "ImportCertificate", **changed, CertificateArn=arn) == "ValidationException"
    issued = await requested(cloud)
    assert await code(cloud, "ImportCertificate", **changed, CertificateArn=issued) == "ValidationException"
    elsewhere = cloud.elsewhere(region="eu-west-1")
    assert await code(elsewhere, "ImportCertificate", **changed, CertificateArn=arn) == "ResourceNotFoundException"


async def test_names_that_no_client_could_ask_for_are_no_names(cloud: Cloud) -> None:
    arn = await imported(cloud, Made("Some Company", NOW, names=("good.example", "bad\nname", "10.0.0.1", "*.wild.example")))
    kept = cloud.store.get(CERTIFICATES, arn)
    assert kept is not None
    assert kept.names == ("good.example", "*.wild.example")


# ── asked for ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_certificate_that_is_asked_for_is_pending_until_it_is_issued(cloud: Cloud) -> None:
    arn = await requested(cloud, SubjectAlternativeNames=["*.web.example", "api.example", "web.example"])
    shown = await detail(cloud, arn)
    assert (shown["Status"], shown["SubjectAlternativeNames"]) == ("PENDING_VALIDATION", ["web.example", "*.web.example", "api.example"])
    records = [option["ResourceRecord"] for option in shown["DomainValidationOptions"]]
    assert records[0] == records[1] != records[2], "a wildcard is proved with what it stands for"
    assert records[0]["Type"] == "CNAME"
    assert records[0]["Name"].endswith(".web.example.")
    assert records[0]["Value"].endswith(".acm-validations.aws.")
    assert {option["ValidationStatus"] for option in shown["DomainValidationOptions"]} == {"PENDING_VALIDATION"}
    assert await code(cloud, "GetCertificate", CertificateArn=arn) == "RequestInProgressException"
    await issue(cloud)
    shown = await detail(cloud, arn)
    assert (shown["Status"], shown["Issuer"]) == ("ISSUED", "Longshore test")
    assert {option["ValidationStatus"] for option in shown["DomainValidationOptions"]} == {"SUCCESS"}
    assert [option["ResourceRecord"] for option in shown["DomainValidationOptions"]] == records
    assert (await cloud.acm("GetCertificate", CertificateArn=arn))["CertificateChain"].encode() == AUTHORITY.root_pem


async def test_a_token_stands_for_one_request_for_an_hour(cloud: Cloud) -> None:
    first = await requested(cloud, IdempotencyToken="once")
    assert await requested(cloud, IdempotencyToken="once") == first
    asked = {"DomainName": "other.example", "ValidationMethod": "DNS", "IdempotencyToken": "once"}
    assert await code(cloud, "RequestCertificate", **asked) == "InvalidParameterException"
    elsewhere = cloud.elsewhere(region="eu-west-1")
    assert await requested(elsewhere, IdempotencyToken="once") != first
    await cloud.clock.step(TOKEN_S)
    assert await requested(cloud, IdempotencyToken="once") != first


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"ValidationMethod": "HTTP"}, "InvalidParameterException"),
        ({"ManagedBy": "CLOUDFRONT"}, "InvalidParameterException"),
        ({"KeyAlgorithm": "RSA_4096"}, "InvalidParameterException"),
        ({"DomainName": "a" * 60 + ".example"}, "InvalidParameterException"),
        ({"DomainName": "10.0.0.1"}, "ValidationException"),
        ({"DomainName": "bad name.example"}, "ValidationException"),
        ({"SubjectAlternativeNames": [f"n{number}.example" for number in range(100)]}, "LimitExceededException"),
        ({"CertificateAuthorityArn": "arn:aws:acm-pca:us-east-1:123456789012:certificate-authority/x"}, "InvalidArnException"),
        (
            {"DomainValidationOptions": [{"DomainName": "web.example", "ValidationDomain": "other.example"}]},
            "InvalidDomainValidationOptionsException",
        ),
        ({"Tags": [{"Key": "aws:x", "Value": "y"}]}, "InvalidTagException"),
    ],
)
async def test_what_cannot_be_issued_is_refused(cloud: Cloud, more: dict[str, Any], expected: str) -> None:
    assert await code(cloud, "RequestCertificate", **({"DomainName": "web.example"} | more)) == expected
    assert not cloud.store.list(CERTIFICATES)


async def test_mail_is_asked_for_as_acm_asks_and_the_method_can_become_dns(cloud: Cloud) -> None:
    options = [{"DomainName": "www.web.example", "ValidationDomain": "web.example"}]
    asked = {"DomainName": "www.web.example", "DomainValidationOptions": options, "KeyAlgorithm": "EC_prime256v1"}
    arn = (await cloud.acm("RequestCertificate", **asked))["CertificateArn"]
    (option,) = (await detail(cloud, arn))["DomainValidationOptions"]
    assert option["ValidationEmails"][0] == "admin@web.example"
    mail = {"CertificateArn": arn, "Domain": "www.web.example", "ValidationDomain": "web.example"}
    await cloud.acm("ResendValidationEmail", **mail)
    assert (
        await code(cloud, "ResendValidationEmail", **(mail | {"ValidationDomain": "x.example"}))
        == "InvalidDomainValidationOptionsException"
    )
    await issue(cloud)
    assert await code(cloud, "ResendValidationEmail", **mail) == "InvalidStateException"
    await cloud.acm("UpdateCertificateOptions", CertificateArn=arn, Options={"ValidationMethod": "DNS"})
    shown = await detail(cloud, arn)
    assert shown["UpdateSummary"]["DomainValidationMethodUpdateSummary"] == {"From": "EMAIL", "To": "DNS"}
    (summary,) = (await cloud.acm("ListCertificateDomainValidations", CertificateArn=arn))["DomainValidationSummaryList"]
    assert summary["ActiveValidationConfiguration"]["ValidationMethod"] == "DNS"
    back = {"CertificateArn": arn, "Options": {"ValidationMethod": "EMAIL"}}
    assert await code(cloud, "UpdateCertificateOptions", **back) == "ValidationException"
    assert await code(cloud, "UpdateCertificateOptions", CertificateArn=arn, Options={"Export": "ENABLED"}) == "ValidationException"


# ── what becomes of them ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_leaves_under_its_passphrase_only_and_only_when_that_was_asked_for(cloud: Cloud) -> None:
    kept_in = await requested(cloud)
    may_leave = await requested(cloud, "api.example", Options={"Export": "ENABLED"})
    assert await code(cloud, "ExportCertificate", CertificateArn=may_leave, Passphrase=b"open sesame") == "RequestInProgressException"
    await issue(cloud)
    assert await code(cloud, "ExportCertificate", CertificateArn=kept_in, Passphrase=b"open sesame") == "ValidationException"
    assert await code(cloud, "ExportCertificate", CertificateArn=await imported(cloud), Passphrase=b"sesame") == "ValidationException"
    got = await cloud.acm("ExportCertificate", CertificateArn=may_leave, Passphrase=b"open sesame")
    assert "ENCRYPTED PRIVATE KEY" in got["PrivateKey"]
    assert load_pem_private_key(got["PrivateKey"].encode(), b"open sesame")
    assert (await detail(cloud, may_leave))["RenewalEligibility"] == "ELIGIBLE"
    assert (await detail(cloud, kept_in))["RenewalEligibility"] == "INELIGIBLE"


async def test_what_was_exported_can_be_revoked_and_then_serves_nobody(cloud: Cloud) -> None:
    arn = await requested(cloud, Options={"Export": "ENABLED"})
    await issue(cloud)
    revoke = {"CertificateArn": arn, "RevocationReason": "KEY_COMPROMISE"}
    assert await code(cloud, "RevokeCertificate", **revoke) == "ValidationException"
    await cloud.acm("ExportCertificate", CertificateArn=arn, Passphrase=b"open sesame")
    listener = await https(cloud, arn)
    assert await code(cloud, "RevokeCertificate", **revoke) == "ResourceInUseException"
    await cloud.elb("DeleteListener", ListenerArn=listener)
    assert (await cloud.acm("RevokeCertificate", **revoke))["CertificateArn"] == arn
    shown = await detail(cloud, arn)
    assert (shown["Status"], shown["RevocationReason"]) == ("REVOKED", "KEY_COMPROMISE")
    assert await code(cloud, "RevokeCertificate", **revoke) == "ConflictException"
    assert await code(cloud, "RenewCertificate", CertificateArn=arn) == "ValidationException"
    with pytest.raises(AwsError) as raised:
        await https(cloud, arn)
    assert raised.value.wire("query")[0] == "UnsupportedCertificate"


async def test_a_renewal_that_is_asked_for_is_shown_until_it_is_done(cloud: Cloud) -> None:
    arn = await requested(cloud)
    assert await code(cloud, "RenewCertificate", CertificateArn=arn) == "RequestInProgressException"
    await issue(cloud)
    before = (await detail(cloud, arn))["Serial"]
    await cloud.acm("RenewCertificate", CertificateArn=arn)
    assert (await detail(cloud, arn))["RenewalSummary"]["RenewalStatus"] == "PENDING_AUTO_RENEWAL"
    assert await code(cloud, "RenewCertificate", CertificateArn=arn) == "RequestInProgressException"
    await issue(cloud)
    shown = await detail(cloud, arn)
    assert (shown["RenewalSummary"]["RenewalStatus"], shown["Serial"] == before) == ("SUCCESS", False)
    assert await code(cloud, "RenewCertificate", CertificateArn=await imported(cloud)) == "ValidationException"


async def test_a_certificate_that_has_ended_says_so(cloud: Cloud) -> None:
    arn = await imported(cloud)
    await cloud.clock.step(91 * DAY_S)
    assert (await detail(cloud, arn))["Status"] == "EXPIRED"
    includes = {"keyTypes": ["EC_prime256v1"]}
    for statuses, found in ((["EXPIRED"], [arn]), (["ISSUED"], [])):
        listed = await cloud.acm("ListCertificates", CertificateStatuses=statuses, Includes=includes)
        assert [each["CertificateArn"] for each in listed["CertificateSummaryList"]] == found


async def https(cloud: Cloud, arn: str, name: str = "web") -> str:
    lb = await cloud.load_balancer(name)
    answer = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    asked = {"Protocol": "HTTPS", "Port": 443, "Certificates": [{"CertificateArn": arn}], "DefaultActions": answer}
    made = await cloud.elb("CreateListener", LoadBalancerArn=lb["LoadBalancerArn"], **asked)
    return str(made["Listeners"][0]["ListenerArn"])


async def test_what_a_listener_uses_cannot_be_deleted(cloud: Cloud) -> None:
    arn = await imported(cloud)
    listener = await https(cloud, arn)
    kept = cloud.store.get(LISTENERS, listener)
    assert kept is not None
    assert (await detail(cloud, arn))["InUseBy"] == [kept.load_balancer_arn]
    assert await code(cloud, "DeleteCertificate", CertificateArn=arn) == "ResourceInUseException"
    await cloud.elb("DeleteListener", ListenerArn=listener)
    await cloud.acm("DeleteCertificate", CertificateArn=arn)
    assert await code(cloud, "DeleteCertificate", CertificateArn=arn) == "ResourceNotFoundException"
    assert await code(cloud, "DescribeCertificate", CertificateArn="arn:aws:acm:us-east-1:123456789012:other/x") == "InvalidArnException"


async def test_what_is_in_use_cannot_be_replaced_by_what_would_not_load(cloud: Cloud) -> None:
    strong = Made("web.example", NOW)
    arn = await imported(cloud, strong)
    await https(cloud, arn)
    weak_root = Made("Weak", NOW, authority=True, key=rsa.generate_private_key(public_exponent=65537, key_size=1024))
    newer = Made("web.example", NOW, issuer=weak_root)
    asked = {"Certificate": newer.pem, "PrivateKey": newer.key, "CertificateChain": weak_root.pem, "CertificateArn": arn}
    assert await code(cloud, "ImportCertificate", **asked) == "ValidationException"
    kept = cloud.store.get(CERTIFICATES, arn)
    assert kept is not None
    assert kept.certificate == strong.pem


# ── listed ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_listings_show_the_usual_keys_unless_others_are_asked_for_and_go_on_page_by_page(cloud: Cloud) -> None:
    arns = {await requested(cloud, f"n{number}.example", KeyAlgorithm="RSA_2048") for number in range(5)}
    odd = await imported(cloud)
    seen: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = await cloud.acm("ListCertificates", MaxItems=2, SortBy="CREATED_AT", SortOrder="DESCENDING", **token)
        seen += [each["CertificateArn"] for each in page["CertificateSummaryList"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert len(seen) == 5
    assert set(seen) == arns
    assert await code(cloud, "ListCertificates", MaxItems=2, **token) == "InvalidArgsException", "a token of another question"
    listed = await cloud.acm(
        "ListCertificates", Includes={"keyTypes": ["EC_prime256v1"], "extendedKeyUsage": ["TLS_WEB_SERVER_AUTHENTICATION"]}
    )
    assert [each["CertificateArn"] for each in listed["CertificateSummaryList"]] == [odd]
    assert await code(cloud, "ListCertificates", SortBy="CREATED_AT") == "ValidationException"


def names_with(value: str) -> dict[str, Any]:
    return {"Filter": {"X509AttributeFilter": {"SubjectAlternativeName": {"DnsName": {"Value": value, "ComparisonOperator": "CONTAINS"}}}}}


def of_type(value: str) -> dict[str, Any]:
    return {"Filter": {"AcmCertificateMetadataFilter": {"Type": value}}}


Found = Callable[[str, str, str], set[str]]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (None, {"imported", "issued", "pending"}),
        (of_type("IMPORTED"), {"imported"}),
        ({"Not": of_type("IMPORTED")}, {"issued", "pending"}),
        ({"And": [of_type("AMAZON_ISSUED"), {"Filter": {"AcmCertificateMetadataFilter": {"Status": "ISSUED"}}}]}, {"issued"}),
        ({"Or": [of_type("IMPORTED"), names_with("API")]}, {"imported", "issued"}),
        ({"Filter": {"X509AttributeFilter": {"NotAfter": {"Start": NOW + 100 * DAY_S}}}}, {"issued"}),
        ({"Filter": {"AcmCertificateMetadataFilter": {"InUse": True}}}, set()),
        (
            {"Filter": {"X509AttributeFilter": {"Subject": {"CommonName": {"Value": "web.example", "ComparisonOperator": "EQUALS"}}}}},
            {"imported"},
        ),
    ],
)
async def test_a_search_finds_what_its_statement_says(cloud: Cloud, statement: dict[str, Any] | None, expected: set[str]) -> None:
    arns = {await imported(cloud): "imported", await requested(cloud, "api.example"): "issued"}
    await issue(cloud)
    arns[await requested(cloud, "later.example")] = "pending"
    more = {"FilterStatement": statement} if statement else {}
    found = (await cloud.acm("SearchCertificates", SortBy="CERTIFICATE_ARN", SortOrder="ASCENDING", **more))["Results"]
    assert {arns[each["CertificateArn"]] for each in found} == expected
    assert [each["CertificateArn"] for each in found] == sorted(each["CertificateArn"] for each in found)


async def test_a_statement_that_is_too_deep_is_refused(cloud: Cloud) -> None:
    statement: dict[str, Any] = of_type("IMPORTED")
    for _ in range(5):
        statement = {"Not": statement}
    assert await code(cloud, "SearchCertificates", FilterStatement=statement) == "ValidationException"


async def test_tags_come_and_go_in_both_families(cloud: Cloud) -> None:
    arn = await imported(cloud)
    await cloud.acm("AddTagsToCertificate", CertificateArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b"}])
    await cloud.acm("TagResource", ResourceArn=arn, Tags=[{"Key": "c", "Value": "3"}])
    await cloud.acm("RemoveTagsFromCertificate", CertificateArn=arn, Tags=[{"Key": "a", "Value": "other"}, {"Key": "b"}])
    assert (await cloud.acm("ListTagsForResource", ResourceArn=arn))["Tags"] == [{"Key": "a", "Value": "1"}, {"Key": "c", "Value": "3"}]
    await cloud.acm("UntagResource", ResourceArn=arn, TagKeys=["a", "c"])
    assert (await cloud.acm("ListTagsForCertificate", CertificateArn=arn))["Tags"] == []
    many = [{"Key": f"k{number}"} for number in range(50)]
    await cloud.acm("AddTagsToCertificate", CertificateArn=arn, Tags=many)
    assert await code(cloud, "AddTagsToCertificate", CertificateArn=arn, Tags=[{"Key": "more"}]) == "TooManyTagsException"


async def test_the_account_says_when_events_begin(cloud: Cloud) -> None:
    assert (await cloud.acm("GetAccountConfiguration"))["ExpiryEvents"] == {"DaysBeforeExpiry": 45}
    await cloud.acm("PutAccountConfiguration", IdempotencyToken="a", ExpiryEvents={"DaysBeforeExpiry": 10})
    assert (await cloud.acm("GetAccountConfiguration"))["ExpiryEvents"] == {"DaysBeforeExpiry": 10}
    again = {"IdempotencyToken": "a", "ExpiryEvents": {"DaysBeforeExpiry": 11}}
    assert await code(cloud, "PutAccountConfiguration", **again) == "ConflictException"


async def test_no_answer_has_a_key_in_it(cloud: Cloud) -> None:
    arn = await imported(cloud)
    for operation in ("DescribeCertificate", "GetCertificate", "ListTagsForCertificate"):
        assert "PRIVATE" not in json.dumps(await cloud.acm(operation, CertificateArn=arn), default=str)
    assert b"PRIVATE" not in repr(cloud.store.get(CERTIFICATES, arn)).encode()

"""Certificates that are asked for are issued, and those that end soon are issued anew, by this installation's authority."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.control.certificates.controller import Certificates
from longshore.control.certificates.plan import RENEW_BEFORE_S, Snapshot, plan
from longshore.kit.certificates import Authority, CertificateProblem, certificates, check_pair
from longshore.kit.clock import SteppedClock
from longshore.services.acm.details import details_of
from longshore.services.acm.issuing import DAYS, KEY_ALGORITHMS
from longshore.services.acm.material import material_of
from longshore.services.acm.model import CERTIFICATES, Certificate
from longshore.store.base import Conflict, Store
from longshore.store.memory import memory_store

NOW, DAY_S, SECRET = 1_700_000_000.0, 86_400.0, b"s" * 32
ARN = "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
AUTHORITY = Authority.make("Longshore test", NOW)
ASKED = Certificate(
    arn=ARN,
    type="AMAZON_ISSUED",
    status="PENDING_VALIDATION",
    domain_name="web.example",
    created_at=NOW,
    names=("web.example", "*.web.example"),
    key_algorithm="EC_prime256v1",
    validation_method="DNS",
)
ISSUED = replace(ASKED, status="ISSUED", certificate=b"x", not_before=NOW, not_after=NOW + DAYS * DAY_S)


def snapshot(certificate: Certificate, now: float = NOW, *, is_ours: bool = True, authority_ends: float = NOW + 3650 * DAY_S) -> Snapshot:
    return Snapshot(certificate=certificate, is_ours=is_ours, authority_ends=authority_ends, now=now)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (snapshot(ASKED), "requested"),
        (snapshot(ISSUED), ""),
        (snapshot(ISSUED, ISSUED.not_after - 45 * DAY_S - 1.0), ""),
        (snapshot(ISSUED, ISSUED.not_after - 45 * DAY_S), "ends soon"),
        (snapshot(ISSUED, ISSUED.not_after + 400 * DAY_S), "ends soon"),
        (snapshot(ISSUED, ISSUED.not_after - 1.0, authority_ends=ISSUED.not_after), ""),
        (snapshot(replace(ISSUED, renewal_asked_at=NOW)), "asked for"),
        (snapshot(ISSUED, is_ours=False), "of an authority before"),
        (snapshot(replace(ISSUED, status="REVOKED"), ISSUED.not_after), ""),
        (snapshot(replace(ISSUED, type="IMPORTED"), ISSUED.not_after, is_ours=False), ""),
    ],
)
def test_a_certificate_is_issued_when_there_is_a_reason(given_: Snapshot, expected: str) -> None:
    assert plan(given_).issue == expected


@given(st.floats(0, DAYS * DAY_S))
def test_nobody_sleeps_through_the_time_of_a_renewal(age_s: float) -> None:
    decided = plan(snapshot(ISSUED, NOW + age_s))
    if decided.issue:
        assert NOW + age_s >= ISSUED.not_after - RENEW_BEFORE_S
    else:
        assert decided.after_s is not None
        assert 0 < decided.after_s <= DAY_S


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    made = memory_store((CERTIFICATES,))
    await made.transact(lambda tx: tx.put(CERTIFICATES, ASKED))
    yield made
    await made.close()


def controller(store: Store, clock: SteppedClock, authority: Authority = AUTHORITY) -> Certificates:
    return Certificates(store, clock, lambda now: authority, SECRET)


def kept(store: Store) -> Certificate:
    found = store.get(CERTIFICATES, ARN)
    assert found is not None
    return found


@pytest.mark.parametrize("algorithm", KEY_ALGORITHMS)
async def test_what_is_issued_fits_its_key_its_names_and_the_authority(store: Store, algorithm: str) -> None:
    await store.transact(lambda tx: tx.put(CERTIFICATES, replace(ASKED, key_algorithm=algorithm)))
    await controller(store, SteppedClock(NOW)).reconcile(ARN)
    found = kept(store)
    assert (found.status, found.issued_at, found.renewed_at) == ("ISSUED", NOW, 0.0)
    assert details_of(found.certificate).key_algorithm == algorithm
    assert details_of(found.certificate).names == ASKED.names
    assert AUTHORITY.issued(found.certificate)
    material = material_of(store, ARN, SECRET)
    assert material is not None
    assert check_pair(material.bundle, material.bundle, NOW).not_after == found.not_after == NOW + DAYS * DAY_S
    assert b"PRIVATE KEY" not in found.sealed_key


async def test_what_ends_soon_is_issued_anew_under_its_own_arn(store: Store) -> None:
    clock = SteppedClock(NOW)
    renews = controller(store, clock)
    await renews.reconcile(ARN)
    first = kept(store)
    assert await renews.reconcile(ARN) == DAY_S
    assert kept(store) == first
    await clock.step(first.not_after - RENEW_BEFORE_S - NOW)
    await renews.reconcile(ARN)
    second = kept(store)
    assert second.certificate != first.certificate
    assert second.sealed_key != first.sealed_key
    assert (second.issued_at, second.renewed_at) == (NOW, clock.now())
    assert certificates(second.certificate)[0].serial_number != certificates(first.certificate)[0].serial_number


async def test_what_was_issued_by_an_authority_before_is_issued_anew(store: Store) -> None:
    clock = SteppedClock(NOW)
    await controller(store, clock).reconcile(ARN)
    another = Authority.make("Longshore test", NOW)
    await controller(store, clock, another).reconcile(ARN)
    assert another.issued(kept(store).certificate)


async def test_a_revocation_while_the_key_is_being_made_stands(store: Store) -> None:
    revision = store.revision_of(CERTIFICATES, ARN)
    renews = controller(store, SteppedClock(NOW))
    await store.transact(lambda tx: tx.put(CERTIFICATES, replace(ASKED, status="REVOKED")))
    with pytest.raises(Conflict):
        await renews._write(ISSUED, revision)
    assert kept(store).status == "REVOKED"


async def test_without_an_authority_a_request_stays_pending(store: Store) -> None:
    def none(now: float) -> Authority:
        raise CertificateProblem("the authority has ended")

    with pytest.raises(CertificateProblem):
        await Certificates(store, SteppedClock(NOW), none, SECRET).reconcile(ARN)
    assert kept(store).status == "PENDING_VALIDATION"

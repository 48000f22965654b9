"""Trust stores, their bundles, what is revoked in them, and the load balancers that use them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import elbv2 as shapes
from longshore.services.call import Call
from longshore.services.elbv2.api import api
from longshore.services.elbv2.errors import (
    AssociationNotFound,
    CaCertificatesBundleNotFound,
    DeleteAssociationSameAccount,
    DuplicateTrustStoreName,
    ResourceNotFound,
    RevocationContentNotFound,
    RevocationIdNotFound,
    TooManyTrustStoreRevocationEntries,
    TooManyTrustStores,
    TrustStoreInUse,
    TrustStoreNotFound,
    Validation,
)
from longshore.services.elbv2.lookup import find_trust_store, scope_of_call
from longshore.services.elbv2.model import (
    LISTENERS,
    TRUST_STORE_REVOCATIONS,
    TRUST_STORES,
    TrustStore,
    TrustStoreRevocation,
    revocation_key,
)
from longshore.services.elbv2.names import SERVICE
from longshore.services.elbv2.paging import page_of
from longshore.services.elbv2.permissions import asked_tags, tagging
from longshore.services.elbv2.quotas import NAMES_PER_DESCRIBE
from longshore.services.elbv2.tagging import merged
from longshore.services.elbv2.trust_stores import (
    CONTENT_ROUTE,
    REVOCATION_FILES_PER_TRUST_STORE,
    REVOKED_ENTRIES_PER_TRUST_STORE,
    TRUST_STORES_PER_REGION,
    Bundle,
    checked_bundle,
    checked_revocations,
    content_token,
    file_at,
)
from longshore.store.base import Reader, Tx

_Named = (
    shapes.ModifyTrustStoreInput
    | shapes.DeleteTrustStoreInput
    | shapes.AddTrustStoreRevocationsInput
    | shapes.RemoveTrustStoreRevocationsInput
    | shapes.GetTrustStoreCaCertificatesBundleInput
    | shapes.GetTrustStoreRevocationContentInput
    | shapes.DeleteSharedTrustStoreAssociationInput
)


def _named(call: Call, request: _Named) -> Iterable[str]:
    return (request.trust_store_arn,)


def _new(call: Call, request: shapes.CreateTrustStoreInput) -> Iterable[str]:
    return (call.arn(SERVICE, f"truststore/{request.name}/*"),)


def _view(reader: Reader, store: TrustStore) -> shapes.TrustStore:
    revoked = sum(each.entries for each in reader.list(TRUST_STORE_REVOCATIONS, "trust_store", store.arn))
    return shapes.TrustStore(
        name=store.name,
        trust_store_arn=store.arn,
        status="ACTIVE",
        number_of_ca_certificates=store.authorities,
        total_revoked_entries=revoked,
    )


async def _bundle(call: Call, request: shapes.CreateTrustStoreInput | shapes.ModifyTrustStoreInput) -> Bundle:
    bucket, key = request.ca_certificates_bundle_s3_bucket, request.ca_certificates_bundle_s3_key
    missing = CaCertificatesBundleNotFound(f"The CA certificates bundle '{key}' in bucket '{bucket}' was not found")
    file = file_at(call.store, scope_of_call(call), bucket, key, request.ca_certificates_bundle_s3_object_version, missing)
    return await asyncio.to_thread(checked_bundle, file.content)


def _asked(call: Call, request: shapes.CreateTrustStoreInput) -> dict[str, list[str]]:
    return asked_tags("CreateTrustStore", request.tags)


def _tagging(call: Call, request: shapes.CreateTrustStoreInput) -> Iterable[tuple[str, str]]:
    return tagging(request.tags, _new(call, request))


@api.operation("CreateTrustStore", resource=_new, conditions=_asked, also=_tagging)
async def create_trust_store(call: Call, request: shapes.CreateTrustStoreInput) -> shapes.CreateTrustStoreOutput:
    bundle = await _bundle(call, request)
    asked = TrustStore(
        arn=call.arn(SERVICE, f"truststore/{request.name}/{call.ids.hex(16)}"),
        name=request.name,
        created_at=call.clock.now(),
        bundle=bundle.pem,
        authorities=bundle.authorities,
        tags=merged((), request.tags),
    )

    def create(tx: Tx) -> TrustStore:
        if tx.list(TRUST_STORES, "name", f"{scope_of_call(call)}:{asked.name}"):
            raise DuplicateTrustStoreName(f"A trust store with the name '{asked.name}' already exists")
        if tx.count(TRUST_STORES, "scope", scope_of_call(call)) >= TRUST_STORES_PER_REGION:
            raise TooManyTrustStores
        return tx.create(TRUST_STORES, asked)

    created = await call.store.transact(create)
    return shapes.CreateTrustStoreOutput(trust_stores=(_view(call.store, created),))


@api.operation("DescribeTrustStores", resource=ANY_RESOURCE)
async def describe_trust_stores(call: Call, request: shapes.DescribeTrustStoresInput) -> shapes.DescribeTrustStoresOutput:
    store, scope = call.store, scope_of_call(call)
    if request.trust_store_arns and request.names:
        raise Validation("Trust store names and trust store ARNs cannot be specified at the same time")
    if len(request.trust_store_arns or request.names or ()) > NAMES_PER_DESCRIBE:
        raise Validation(f"You can specify up to {NAMES_PER_DESCRIBE} trust stores in a single call")
    if request.trust_store_arns:
        found = [find_trust_store(store, call, arn) for arn in dict.fromkeys(request.trust_store_arns)]
    elif request.names:
        by_name = {each.name: each for each in store.list(TRUST_STORES, "scope", scope)}
        missing = [name for name in request.names if name not in by_name]
        if missing:
            raise TrustStoreNotFound(f"Trust stores '[{', '.join(missing)}]' not found")
        found = [by_name[name] for name in dict.fromkeys(request.names)]
    else:
        page, next_marker = page_of(store.list(TRUST_STORES, "scope", scope), TRUST_STORES.key, request.marker, request.page_size)
        return shapes.DescribeTrustStoresOutput(trust_stores=tuple(_view(store, each) for each in page), next_marker=next_marker)
    return shapes.DescribeTrustStoresOutput(trust_stores=tuple(_view(store, each) for each in found))


@api.operation("ModifyTrustStore", resource=_named)
async def modify_trust_store(call: Call, request: shapes.ModifyTrustStoreInput) -> shapes.ModifyTrustStoreOutput:
    find_trust_store(call.store, call, request.trust_store_arn)
    bundle = await _bundle(call, request)

    def change(tx: Tx) -> TrustStore:
        found = find_trust_store(tx, call, request.trust_store_arn)
        return tx.put(TRUST_STORES, replace(found, bundle=bundle.pem, authorities=bundle.authorities))

    return shapes.ModifyTrustStoreOutput(trust_stores=(_view(call.store, await call.store.transact(change)),))


@api.operation("DeleteTrustStore", resource=_named)
async def delete_trust_store(call: Call, request: shapes.DeleteTrustStoreInput) -> shapes.DeleteTrustStoreOutput:
    def delete(tx: Tx) -> None:
        found = find_trust_store(tx, call, request.trust_store_arn)
        if tx.count(LISTENERS, "trust_store", found.arn):
            raise TrustStoreInUse(f"Trust store '{found.arn}' is currently in use by a listener")
        for revocation in tx.list(TRUST_STORE_REVOCATIONS, "trust_store", found.arn):
            tx.delete(TRUST_STORE_REVOCATIONS, TRUST_STORE_REVOCATIONS.key(revocation))
        tx.delete(TRUST_STORES, found.arn)

    await call.store.transact(delete)
    return shapes.DeleteTrustStoreOutput()


# ── revocations ──────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("AddTrustStoreRevocations", resource=_named)
async def add_trust_store_revocations(call: Call, request: shapes.AddTrustStoreRevocationsInput) -> shapes.AddTrustStoreRevocationsOutput:
    if not request.revocation_contents:
        raise Validation("At least one revocation content must be specified")
    bundle = find_trust_store(call.store, call, request.trust_store_arn).bundle
    brought = []
    for content in request.revocation_contents:
        bucket, key = content.s3_bucket or "", content.s3_key or ""
        missing = RevocationContentNotFound(f"The revocation content '{key}' in bucket '{bucket}' was not found")
        file = file_at(call.store, scope_of_call(call), bucket, key, content.s3_object_version, missing)
        brought.append(await asyncio.to_thread(checked_revocations, file.content, bundle))

    def add(tx: Tx) -> list[TrustStoreRevocation]:
        found = find_trust_store(tx, call, request.trust_store_arn)
        known = tx.list(TRUST_STORE_REVOCATIONS, "trust_store", found.arn)
        if len(known) + len(brought) > REVOCATION_FILES_PER_TRUST_STORE:
            raise TooManyTrustStoreRevocationEntries(f"A trust store can have {REVOCATION_FILES_PER_TRUST_STORE} revocation files at most")
        if sum(each.entries for each in known) + sum(entries for _, entries in brought) > REVOKED_ENTRIES_PER_TRUST_STORE:
            raise TooManyTrustStoreRevocationEntries
        first = found.last_revocation_id + 1
        added = [TrustStoreRevocation(found.arn, first + at, pem, entries) for at, (pem, entries) in enumerate(brought)]
        for each in added:
            tx.create(TRUST_STORE_REVOCATIONS, each)
        tx.put(TRUST_STORES, replace(found, last_revocation_id=first + len(brought) - 1))
        return added

    added = await call.store.transact(add)
    return shapes.AddTrustStoreRevocationsOutput(
        trust_store_revocations=tuple(
            shapes.TrustStoreRevocation(
                trust_store_arn=each.trust_store_arn,
                revocation_id=each.id,
                revocation_type="CRL",
                number_of_revoked_entries=each.entries,
            )
            for each in added
        )
    )


def _revocation(reader: Reader, store: TrustStore, id: int) -> TrustStoreRevocation:
    found = reader.get(TRUST_STORE_REVOCATIONS, revocation_key(store.arn, id)) if id > 0 else None
    if found is None:
        raise RevocationIdNotFound(f"Revocation ID '{id}' not found")
    return found


@api.operation("RemoveTrustStoreRevocations", resource=_named)
async def remove_trust_store_revocations(
    call: Call, request: shapes.RemoveTrustStoreRevocationsInput
) -> shapes.RemoveTrustStoreRevocationsOutput:
    def remove(tx: Tx) -> None:
        found = find_trust_store(tx, call, request.trust_store_arn)
        for id in dict.fromkeys(request.revocation_ids):
            tx.delete(TRUST_STORE_REVOCATIONS, TRUST_STORE_REVOCATIONS.key(_revocation(tx, found, id)))

    await call.store.transact(remove)
    return shapes.RemoveTrustStoreRevocationsOutput()


@api.operation("DescribeTrustStoreRevocations", resource=ANY_RESOURCE)
async def describe_trust_store_revocations(
    call: Call, request: shapes.DescribeTrustStoreRevocationsInput
) -> shapes.DescribeTrustStoreRevocationsOutput:
    found = find_trust_store(call.store, call, request.trust_store_arn)
    known = call.store.list(TRUST_STORE_REVOCATIONS, "trust_store", found.arn)
    if request.revocation_ids:
        known = [_revocation(call.store, found, id) for id in dict.fromkeys(request.revocation_ids)]
    page, next_marker = page_of(known, TRUST_STORE_REVOCATIONS.key, request.marker, request.page_size)
    return shapes.DescribeTrustStoreRevocationsOutput(
        trust_store_revocations=tuple(
            shapes.DescribeTrustStoreRevocation(
                trust_store_arn=each.trust_store_arn,
                revocation_id=each.id,
                revocation_type="CRL",
                number_of_revoked_entries=each.entries,
            )
            for each in page
        ),
        next_marker=next_marker,
    )


# ── contents ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("GetTrustStoreCaCertificatesBundle", resource=_named)
async def get_trust_store_ca_certificates_bundle(
    call: Call, request: shapes.GetTrustStoreCaCertificatesBundleInput
) -> shapes.GetTrustStoreCaCertificatesBundleOutput:
    found = find_trust_store(call.store, call, request.trust_store_arn)
    return shapes.GetTrustStoreCaCertificatesBundleOutput(location=_location(call, found, 0))


@api.operation("GetTrustStoreRevocationContent", resource=_named)
async def get_trust_store_revocation_content(
    call: Call, request: shapes.GetTrustStoreRevocationContentInput
) -> shapes.GetTrustStoreRevocationContentOutput:
    found = find_trust_store(call.store, call, request.trust_store_arn)
    return shapes.GetTrustStoreRevocationContentOutput(
        location=_location(call, found, _revocation(call.store, found, request.revocation_id).id)
    )


def _location(call: Call, store: TrustStore, revocation_id: int) -> str:
    return f"{call.base_url}{CONTENT_ROUTE}{content_token(call.secret_for_signing, store.arn, revocation_id, call.clock.now())}"


# ── who uses them ────────────────────────────────────────────────────────────────────────────────────────────────────


def _users(reader: Reader, store: TrustStore) -> list[str]:
    return sorted({listener.load_balancer_arn for listener in reader.list(LISTENERS, "trust_store", store.arn)})


@api.operation("DescribeTrustStoreAssociations", resource=ANY_RESOURCE)
async def describe_trust_store_associations(
    call: Call, request: shapes.DescribeTrustStoreAssociationsInput
) -> shapes.DescribeTrustStoreAssociationsOutput:
    users = _users(call.store, find_trust_store(call.store, call, request.trust_store_arn))
    page, next_marker = page_of(users, lambda arn: arn, request.marker, request.page_size)
    return shapes.DescribeTrustStoreAssociationsOutput(
        trust_store_associations=tuple(shapes.TrustStoreAssociation(resource_arn=arn) for arn in page), next_marker=next_marker
    )


@api.operation("DeleteSharedTrustStoreAssociation", resource=_named)
async def delete_shared_trust_store_association(
    call: Call, request: shapes.DeleteSharedTrustStoreAssociationInput
) -> shapes.DeleteSharedTrustStoreAssociationOutput:
    """Nothing is shared between accounts here, so every association is one's own, and those are ended at the listener."""
    if request.resource_arn in _users(call.store, find_trust_store(call.store, call, request.trust_store_arn)):
        raise DeleteAssociationSameAccount
    raise AssociationNotFound


@api.operation("GetResourcePolicy", resource=lambda call, request: (request.resource_arn,))
async def get_resource_policy(call: Call, request: shapes.GetResourcePolicyInput) -> shapes.GetResourcePolicyOutput:
    """Only what is shared has one, and nothing is."""
    try:
        found = find_trust_store(call.store, call, request.resource_arn)
    except TrustStoreNotFound:
        raise ResourceNotFound(f"The resource '{request.resource_arn}' does not exist") from None
    raise ResourceNotFound(f"The resource '{found.arn}' has no resource policy: it is not shared")

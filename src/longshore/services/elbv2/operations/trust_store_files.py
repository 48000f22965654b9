"""Beyond AWS: what trust stores are made of is put into the installation, listed and taken out again."""

from __future__ import annotations

from longshore.aws.operation import ANY_RESOURCE
from longshore.services.call import Call
from longshore.services.elbv2 import trust_store_shapes as shapes
from longshore.services.elbv2.api import api
from longshore.services.elbv2.errors import Validation
from longshore.services.elbv2.lookup import scope_of_call
from longshore.services.elbv2.model import TRUST_STORE_FILES, TrustStoreFile, trust_store_file_key
from longshore.services.elbv2.trust_stores import FILES_PER_REGION, MOST_FILE
from longshore.store.base import Tx


@api.operation("LongshorePutTrustStoreFile", resource=ANY_RESOURCE, shape=shapes.PUT)
async def put_trust_store_file(call: Call, request: shapes.PutFileRequest) -> shapes.PutFileResponse:
    content = request.content.encode()
    if len(content) > MOST_FILE:
        raise Validation(f"A file may have {MOST_FILE} bytes at most")
    if b"PRIVATE KEY-----" in content:
        raise Validation("The file has a private key in it, and trust stores are made of certificates and revocation lists alone")
    file = TrustStoreFile(scope_of_call(call), request.bucket, request.key, content, call.clock.now())

    def put(tx: Tx) -> None:
        is_new = tx.get(TRUST_STORE_FILES, TRUST_STORE_FILES.key(file)) is None
        if is_new and tx.count(TRUST_STORE_FILES, "scope", file.scope) >= FILES_PER_REGION:
            raise Validation(f"There may be {FILES_PER_REGION} files for trust stores at most: delete some that were taken over already")
        tx.put(TRUST_STORE_FILES, file)

    await call.store.transact(put)
    return shapes.PutFileResponse()


@api.operation("LongshoreDeleteTrustStoreFile", resource=ANY_RESOURCE, shape=shapes.DELETE)
async def delete_trust_store_file(call: Call, request: shapes.DeleteFileRequest) -> shapes.DeleteFileResponse:
    key = trust_store_file_key(scope_of_call(call), request.bucket, request.key)
    await call.store.transact(lambda tx: tx.delete(TRUST_STORE_FILES, key))
    return shapes.DeleteFileResponse()


@api.operation("LongshoreListTrustStoreFiles", resource=ANY_RESOURCE, shape=shapes.LIST)
async def list_trust_store_files(call: Call, request: shapes.ListFilesRequest) -> shapes.ListFilesResponse:
    found = call.store.list(TRUST_STORE_FILES, "scope", scope_of_call(call))
    return shapes.ListFilesResponse(
        files=tuple(shapes.File(bucket=file.bucket, key=file.name, size=len(file.content), put_at=file.put_at) for file in found)
    )

"""Which repositories are given a data key, and that their bytes go where they belong."""

from __future__ import annotations

import pytest

from longshore.kit.data_keys import open_data_key
from longshore.services.ecr.content import carry_content, content_of, shares_content
from longshore.services.ecr.encryption.keys import ensure_encryption
from longshore.services.ecr.encryption.model import ENCRYPTION, INSTALLATION
from longshore.services.ecr.model import REPOSITORIES, Repository
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.ecr.templates.creation import ensure_repository
from longshore.services.ecr.templates.model import CREATION_TEMPLATES, CreationTemplate
from longshore.store.base import Tx
from longshore.store.blobs import BlobStore
from tests.services.ecr.conftest import ACCOUNT, REGION, Ecr

KMS = {"encryptionType": "KMS"}
LAYER = b"a layer"
DIGEST = digest_of(LAYER)


async def created(ecr: Ecr, name: str, encryption: dict[str, str] | None = None) -> Repository:
    await ecr("CreateRepository", repositoryName=name, **({"encryptionConfiguration": encryption} if encryption else {}))
    return repository_of(ecr, name)


def repository_of(ecr: Ecr, name: str) -> Repository:
    found = ecr.call.store.get(REPOSITORIES, RepositoryId(REGION, ACCOUNT, name).key)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("encryption", "always", "expected"),
    [
        (None, False, False),
        ({"encryptionType": "AES256"}, False, False),
        (KMS, False, True),
        ({"encryptionType": "KMS_DSSE"}, False, True),
        (None, True, True),
        ({"encryptionType": "AES256"}, True, True),
    ],
)
async def test_a_repository_is_encrypted_when_it_or_the_installation_asks_for_it(
    ecr: Ecr, encryption: dict[str, str] | None, always: bool, expected: bool
) -> None:
    secret = ecr.call.secret_for_signing
    await ecr.call.store.transact(lambda tx: ensure_encryption(tx, secret, always=always))
    repository = await created(ecr, "app", encryption)
    assert (repository.data_key is not None) is expected
    if repository.data_key is not None:
        assert len(open_data_key(secret, repository.data_key)) == 32


async def test_each_has_a_key_of_its_own_and_keeps_it(ecr: Ecr) -> None:
    one, other = await created(ecr, "one", KMS), await created(ecr, "other", KMS)
    assert one.data_key != other.data_key
    await ecr("PutImageTagMutability", repositoryName="one", imageTagMutability="IMMUTABLE")
    await ecr("TagResource", resourceArn=one.arn, tags=[{"Key": "a", "Value": "b"}])
    assert repository_of(ecr, "one").data_key == one.data_key
    await ecr("DeleteRepository", repositoryName="one")
    assert (await created(ecr, "one", KMS)).data_key != one.data_key


async def test_what_comes_into_being_by_a_template_is_encrypted_as_the_template_says(ecr: Ecr) -> None:
    now = ecr.clock.now()
    template = CreationTemplate(REGION, ACCOUNT, "team", now, now, applied_for=("REPLICATION",), encryption_type="KMS")
    meant = RepositoryId(REGION, ACCOUNT, "team/app")

    def create(tx: Tx) -> Repository:
        tx.put(CREATION_TEMPLATES, template)
        return ensure_repository(tx, meant, "REPLICATION", now)

    assert (await ecr.call.store.transact(create)).data_key is not None


async def test_what_asks_to_be_encrypted_is_refused_where_there_is_no_key(ecr: Ecr) -> None:
    await ecr.call.store.transact(lambda tx: tx.delete(ENCRYPTION, INSTALLATION))
    assert (await ecr.refused("CreateRepository", repositoryName="app", encryptionConfiguration=KMS))[0] == "KmsException"
    await created(ecr, "plain")


async def test_answers_show_nothing_of_the_key(ecr: Ecr) -> None:
    await created(ecr, "app", KMS)
    answer = await ecr("DescribeRepositories", repositoryNames=["app"])
    assert answer["repositories"][0]["encryptionConfiguration"] == {"encryptionType": "KMS"}
    assert not [name for name in answer["repositories"][0] if "dataKey" in name]


@pytest.mark.parametrize(("source", "destination"), [("plain", "secret"), ("secret", "plain"), ("secret", "other-secret")])
async def test_content_is_carried_to_where_another_repository_looks_for_it(ecr: Ecr, source: str, destination: str) -> None:
    here, there = [await created(ecr, name, KMS if "secret" in name else None) for name in (source, destination)]
    blobs: BlobStore = ecr.call.blobs
    assert not shares_content(here, there)
    assert await carry_content(blobs, here, there, DIGEST) is None
    await content_of(blobs, here).put(LAYER, DIGEST)
    assert await carry_content(blobs, here, there, DIGEST) == len(LAYER)
    assert await content_of(blobs, there).read(DIGEST) == LAYER
    assert await carry_content(blobs, here, there, DIGEST) == len(LAYER)


async def test_content_that_is_shared_is_kept_and_not_copied(ecr: Ecr) -> None:
    here, there = await created(ecr, "one"), await created(ecr, "other")
    blobs: BlobStore = ecr.call.blobs
    assert shares_content(here, there)
    assert await carry_content(blobs, here, there, DIGEST) is None
    await blobs.put(LAYER, DIGEST)
    await blobs.delete(DIGEST)
    assert await carry_content(blobs, here, there, DIGEST) == len(LAYER)
    assert await blobs.read(DIGEST) == LAYER

"""The replicator: what arrives where, what does not, and what is said about it."""

from __future__ import annotations

import asyncio
import json

import pytest

from longshore.aws.errors import AwsError
from longshore.control.loop import Loop
from longshore.control.replication.local import SourceChanged, deliver, open_destination
from longshore.kit.ids import SeededIds
from longshore.services.ecr.content import content_of
from longshore.services.ecr.encryption.keys import ensure_encryption
from longshore.services.ecr.images import find_repository
from longshore.services.ecr.model import REPOSITORIES, REPOSITORY_BLOBS
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.ecr.replication.model import REPLICATIONS
from tests.control.replication.conftest import ELSEWHERE, HOME, OTHER, REGION, SECRET, World
from tests.registry.contents import CONFIG, LAYER, index, manifest

LATER = b"another layer"


async def test_what_is_pushed_after_the_configuration_arrives_and_what_was_pushed_before_does_not(world: World, image: bytes) -> None:
    await world.push("app/web", manifest(LATER), "before", layers=(LATER, b'{"architecture":"amd64","os":"linux"}'))
    await world.replicate_to((ELSEWHERE, HOME))
    digest = await world.push("app/web", image, "1", "latest")
    await world.turn()
    assert await world.tags("app/web") == {"1": digest, "latest": digest}
    assert await world.statuses("app/web", digest) == {ELSEWHERE: ("COMPLETE", None)}
    there = RepositoryId(ELSEWHERE, HOME, "app/web")
    assert world.call.store.get(REPOSITORY_BLOBS, f"{there.key}@{digest_of(LAYER)}") is not None
    told = world.events("ECR Replication Action")
    assert {each["image-tag"] for each in told} == {"1", "latest"}
    assert told[0] | {"image-tag": ""} == {
        "result": "SUCCESS",
        "repository-name": "app/web",
        "image-digest": digest,
        "source-account": HOME,
        "action-type": "REPLICATE",
        "source-region": REGION,
        "image-tag": "",
    }


async def test_an_index_is_carried_with_all_its_images(world: World, image: bytes) -> None:
    await world.replicate_to((ELSEWHERE, HOME))
    child = await world.push("app/web", image)
    parent = await world.push("app/web", index(image), "multi", layers=())
    await world.turn()
    assert await world.tags("app/web") == {None: child, "multi": parent}


async def test_only_repositories_that_a_filter_names_are_carried(world: World, image: bytes) -> None:
    await world.ask("CreateRepository", repositoryName="other")
    await world.replicate_to((ELSEWHERE, HOME), prefixes=("app/", "team/"))
    await world.push("other", image, "1")
    await world.push("app/web", image, "1")
    await world.turn()
    assert [each.name for each in world.call.store.list(REPOSITORIES) if each.region == ELSEWHERE] == ["app/web"]


async def test_a_replica_is_carried_no_further(world: World, image: bytes) -> None:
    await world.replicate_to((ELSEWHERE, HOME))
    await world.ask(
        "PutReplicationConfiguration",
        region=ELSEWHERE,
        replicationConfiguration={"rules": [{"destinations": [{"region": "eu-central-1", "registryId": HOME}]}]},
    )
    await world.push("app/web", image, "1")
    await world.turn()
    assert {each.region for each in world.call.store.list(REPOSITORIES)} == {REGION, ELSEWHERE}


async def test_another_account_must_allow_it(world: World, image: bytes) -> None:
    await world.replicate_to((REGION, OTHER))
    digest = await world.push("app/web", image, "1")
    await world.turn()
    assert await world.statuses("app/web", digest) == {REGION: ("FAILED", "AccessDenied")}

    def policy(*actions: str) -> str:
        statement = {
            "Sid": "replicas",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{HOME}:root"},
            "Action": list(actions),
            "Resource": f"arn:aws:ecr:{REGION}:{OTHER}:repository/*",
        }
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    await world.ask("PutRegistryPolicy", account=OTHER, policyText=policy("ecr:ReplicateImage"))
    await world.push("app/web", image, "2")
    await world.turn()
    assert await world.statuses("app/web", digest) == {REGION: ("FAILED", "AccessDenied")}, "the repository may not be created there"
    await world.ask("PutRegistryPolicy", account=OTHER, policyText=policy("ecr:ReplicateImage", "ecr:CreateRepository"))
    await world.push("app/web", image, "3")
    await world.turn()
    assert await world.statuses("app/web", digest) == {REGION: ("COMPLETE", None)}
    assert await world.tags("app/web", account=OTHER, region=REGION) == {"1": digest, "2": digest, "3": digest}


async def test_an_immutable_tag_at_the_destination_stays_and_the_image_arrives_without_it(world: World, image: bytes) -> None:
    await world.ask("CreateRepository", region=ELSEWHERE, repositoryName="app/web", imageTagMutability="IMMUTABLE")
    theirs = await world.push(
        "app/web", manifest(LAYER, LATER), "1", region=ELSEWHERE, layers=(LATER, LAYER, b'{"architecture":"amd64","os":"linux"}')
    )
    await world.replicate_to((ELSEWHERE, HOME))
    ours = await world.push("app/web", image, "1")
    await world.turn()
    assert await world.tags("app/web") == {"1": theirs, None: ours}
    assert await world.statuses("app/web", ours) == {ELSEWHERE: ("COMPLETE", None)}


async def test_a_tag_that_moved_on_before_it_was_carried_is_not_given_to_the_old_image(world: World, image: bytes) -> None:
    await world.replicate_to((ELSEWHERE, HOME))
    old = await world.push("app/web", image, "latest")
    new = await world.push("app/web", manifest(LAYER, LATER), "latest", layers=(LATER,))
    await world.turn()
    assert await world.tags("app/web") == {None: old, "latest": new}


@pytest.mark.parametrize("asked", [True, False])
async def test_deletions_are_carried_where_that_is_asked_for(world: World, image: bytes, *, asked: bool) -> None:
    await world.replicate_to((ELSEWHERE, HOME), deleteReplication={"enabled": asked})
    digest = await world.push("app/web", image, "1", "2")
    await world.turn()
    await world.ask("BatchDeleteImage", repositoryName="app/web", imageIds=[{"imageTag": "2"}])
    await world.turn()
    assert await world.tags("app/web") == ({"1": digest} if asked else {"1": digest, "2": digest})
    await world.ask("BatchDeleteImage", repositoryName="app/web", imageIds=[{"imageDigest": digest}])
    await world.turn()
    assert await world.tags("app/web") == ({} if asked else {"1": digest, "2": digest})


async def test_what_was_pushed_again_before_its_deletion_was_carried_stays(world: World, image: bytes) -> None:
    await world.replicate_to((ELSEWHERE, HOME), deleteReplication={"enabled": True})
    digest = await world.push("app/web", image, "1")
    await world.turn()
    await world.ask("BatchDeleteImage", repositoryName="app/web", imageIds=[{"imageDigest": digest}])
    await world.push("app/web", image, "1")
    await world.turn()
    assert await world.tags("app/web") == {"1": digest}


async def test_an_index_and_its_images_are_deleted_whatever_comes_first(world: World, image: bytes) -> None:
    await world.replicate_to((ELSEWHERE, HOME), deleteReplication={"enabled": True})
    child = await world.push("app/web", image)
    parent = await world.push("app/web", index(image), "multi", layers=())
    await world.turn()
    await world.ask("BatchDeleteImage", repositoryName="app/web", imageIds=[{"imageDigest": child}, {"imageDigest": parent}])
    for _ in range(3):
        await world.turn()
        await world.clock.step(10)
    assert await world.tags("app/web") == {}


@pytest.mark.parametrize("source_too", [True, False])
async def test_a_destination_with_a_key_of_its_own_gets_its_own_copy_of_the_bytes(world: World, image: bytes, *, source_too: bool) -> None:
    await world.call.store.transact(lambda tx: ensure_encryption(tx, SECRET, always=False))
    name = "app/sealed" if source_too else "app/web"
    if source_too:
        await world.ask("CreateRepository", repositoryName=name, encryptionConfiguration={"encryptionType": "KMS"})
    await world.ask("CreateRepository", region=ELSEWHERE, repositoryName=name, encryptionConfiguration={"encryptionType": "KMS"})
    await world.replicate_to((ELSEWHERE, HOME))
    digest = await world.push(name, image, "1")
    await world.turn()
    there = find_repository(world.call.store, RepositoryId(ELSEWHERE, HOME, name))
    assert there.data_key is not None
    assert await content_of(world.blobs, there).read(digest) == image
    for blob in (CONFIG, LAYER):
        assert await content_of(world.blobs, there).read(digest_of(blob)) == blob
    assert await world.statuses(name, digest) == {ELSEWHERE: ("COMPLETE", None)}


async def test_what_was_copied_for_a_repository_is_not_shown_in_another_of_its_name_that_looks_for_it_elsewhere(
    world: World, image: bytes
) -> None:
    await world.call.store.transact(lambda tx: ensure_encryption(tx, SECRET, always=False))
    await world.replicate_to((ELSEWHERE, HOME))
    await world.push("app/web", image, "1")
    store, source = world.call.store, find_repository(world.call.store, RepositoryId(REGION, HOME, "app/web"))
    replication = store.list(REPLICATIONS)[0]
    copied_to = await store.transact(lambda tx: open_destination(tx, source, replication, 0.0))
    await world.ask("DeleteRepository", region=ELSEWHERE, repositoryName="app/web")
    await world.ask("CreateRepository", region=ELSEWHERE, repositoryName="app/web", encryptionConfiguration={"encryptionType": "KMS"})
    with pytest.raises(SourceChanged):
        await store.transact(lambda tx: deliver(tx, source, copied_to, replication, (replication.digest,), ("1",), 0.0))
    await world.turn()
    there = find_repository(store, RepositoryId(ELSEWHERE, HOME, "app/web"))
    assert await content_of(world.blobs, there).read(replication.digest) == image


async def test_without_rules_nothing_is_carried_any_more(world: World, image: bytes) -> None:
    await world.replicate_to((ELSEWHERE, HOME))
    await world.ask("PutReplicationConfiguration", replicationConfiguration={"rules": []})
    await world.push("app/web", image, "1")
    assert world.under_way == 0
    assert (await world.ask("DescribeRegistry")).replication_configuration.rules == ()


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([{"destinations": [{"region": REGION, "registryId": HOME}]}], "source registry"),
        ([{"destinations": [{"region": "nowhere", "registryId": HOME}]}], "neither a region nor a remote registry"),
        ([{"destinations": [{"region": "eu-west-77", "registryId": HOME}]}], "neither a region nor a remote registry"),
        ([{"destinations": []}], "at least one destination"),
        ([{"destinations": [{"region": ELSEWHERE, "registryId": HOME}] * 2}], "must be unique"),
        ([{"destinations": [{"region": ELSEWHERE, "registryId": HOME}]}] * 11, "maximum of 10 rules"),
        ([{"destinations": [{"region": f"eu-west-{n}", "registryId": HOME} for n in range(1, 28)]}], "maximum of 25"),
    ],
)
async def test_a_configuration_that_cannot_be_meant_is_refused(world: World, rules: list[object], words: str) -> None:
    with pytest.raises(AwsError, match=words):
        await world.ask("PutReplicationConfiguration", replicationConfiguration={"rules": rules})


async def test_the_loop_carries_a_push_by_itself(world: World, image: bytes) -> None:
    loop = asyncio.create_task(Loop(world.replicator, world.call.store, world.clock, SeededIds()).run())
    await world.replicate_to((ELSEWHERE, HOME))
    watch = world.call.store.watch(REPOSITORIES)
    await world.push("app/web", image, "1")
    await asyncio.wait_for(watch.next(), 5)
    watch.close()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)

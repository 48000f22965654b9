"""After a rotation everything here is sealed anew, whatever is sealed inside of resources and whole rows, over crashes, too."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest

from longshore.aws.shapes import elbv2 as elbv2_shapes
from longshore.control.keys.controller import KeyRotation
from longshore.control.keys.plan import KEPT_S, VOID_KEPT_S
from longshore.kit.clock import SteppedClock
from longshore.kit.data_keys import open_data_key
from longshore.kit.keyring_file import KeyringFile
from longshore.kit.sealing import Keys, generation_of, seal, unseal
from longshore.resources import KINDS
from longshore.services.acm.model import CERTIFICATES, Certificate
from longshore.services.acm.model import PURPOSE as CERTIFICATE_KEYS
from longshore.services.ecr.encryption.keys import ensure_encryption, with_data_key
from longshore.services.ecr.model import REPOSITORIES, Repository
from longshore.services.ecr.replication.model import REMOTE_PASSWORDS, REMOTE_REGISTRIES, RemoteRegistry
from longshore.services.elbv2.client_secrets import PURPOSE as CLIENT_SECRETS
from longshore.services.elbv2.model import RULES, Rule
from longshore.services.iam.model import ACCESS_KEYS, SERVER_CERTIFICATES, AccessKey, ServerCertificate
from longshore.services.keys.model import ROTATIONS, Rotation, rotation_key
from longshore.services.keys.resealing import SEALED
from longshore.services.secretsmanager import model as secrets
from longshore.services.ssm import model as ssm
from longshore.store.base import Store, Tx
from longshore.store.local import LocalStore
from longshore.store.sqlite import open_store

NOW, REGION, ACCOUNT = 1_800_000_000.0, "us-east-1", "000000000000"
SECRET = b"s" * 32


@pytest.fixture
def keyring(tmp_path: Path) -> KeyringFile:
    file = KeyringFile(tmp_path)
    file.begin(SECRET, NOW)
    return file


def oidc(sealed: bytes) -> elbv2_shapes.Action:
    config = elbv2_shapes.AuthenticateOidcActionConfig(
        issuer="i",
        authorization_endpoint="a",
        token_endpoint="t",
        user_info_endpoint="u",
        client_id="c",
        client_secret=b64encode(sealed).decode(),
    )
    return elbv2_shapes.Action(type="authenticate-oidc", authenticate_oidc_config=config)


def everything(tx: Tx, keys: Keys, many: int = 3) -> None:
    """One of each kind that is sealed, and several of some."""
    ensure_encryption(tx, keys, always=True)
    for n in range(many):
        tx.put(ACCESS_KEYS, AccessKey(f"AKIA{n}", ACCOUNT, "arn", f"secret-{n}", NOW))
        repository = Repository(f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/r{n}", REGION, ACCOUNT, f"r{n}", NOW)
        tx.put(REPOSITORIES, with_data_key(tx, repository))
        version = secrets.Version(f"v{n}", NOW, seal(keys, secrets.PURPOSE, f"secret {n}".encode()), True)
        tx.put(secrets.SECRETS, secrets.Secret(f"arn{n}", REGION, ACCOUNT, f"s{n}", NOW, NOW, versions=(version, version)))
        value = seal(keys, ssm.PURPOSE, f"parameter {n}".encode())
        versions = (ssm.Version(1, "String", b"plain", NOW, ""), ssm.Version(2, ssm.SECURE, value, NOW, ""))
        tx.put(ssm.PARAMETERS, ssm.Parameter(REGION, ACCOUNT, f"p{n}", versions))
    key = seal(keys, CERTIFICATE_KEYS, b"private")
    tx.put(
        CERTIFICATES, Certificate(f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/1", "IMPORTED", "ISSUED", "a.example", NOW, sealed_key=key)
    )
    tx.put(SERVER_CERTIFICATES, ServerCertificate(ACCOUNT, "web", "ASCA", NOW, sealed_key=key))
    password = seal(keys, REMOTE_PASSWORDS, b"password")
    tx.put(REMOTE_REGISTRIES, RemoteRegistry(REGION, ACCOUNT, "far", "https://far", NOW, user="u", password=password))
    tx.put(RULES, Rule(arn="arn:rule", listener_arn="arn:listener", priority=1, actions=(oidc(seal(keys, CLIENT_SECRETS, b"oidc")),)))


def opened(store: Store, keys: Keys) -> list[tuple[int, bytes]]:
    """(generation, what it opens to) of each, but for data keys, whose generation is that which alone opens them."""
    found: list[tuple[str, bytes]] = []
    for secret in store.list(secrets.SECRETS):
        found += [(secrets.PURPOSE, version.value) for version in secret.versions]
    for parameter in store.list(ssm.PARAMETERS):
        assert parameter.versions[0].value == b"plain"
        found.append((ssm.PURPOSE, parameter.versions[1].value))
    found += [(CERTIFICATE_KEYS, one.sealed_key) for one in (*store.list(CERTIFICATES), *store.list(SERVER_CERTIFICATES))]
    found += [(REMOTE_PASSWORDS, one.password) for one in store.list(REMOTE_REGISTRIES)]
    for rule in store.list(RULES):
        config = rule.actions[0].authenticate_oidc_config
        assert config is not None
        found.append((CLIENT_SECRETS, b64decode(config.client_secret or "")))
    return [(generation_of(sealed), unseal(keys, purpose, sealed)) for purpose, sealed in found]


async def store_of(directory: Path, keyring: KeyringFile) -> LocalStore:
    return await open_store(directory, KINDS, keyring.keys)


async def test_everything_is_sealed_anew_and_opens_with_the_new_secret_alone(tmp_path: Path, keyring: KeyringFile) -> None:
    clock = SteppedClock(NOW)
    store = await store_of(tmp_path, keyring)
    await store.transact(lambda tx: everything(tx, keyring.keys))
    before = opened(store, keyring.keys)
    data_keys = [open_data_key(SECRET, one.data_key) for one in store.list(REPOSITORIES) if one.data_key]
    assert (len(data_keys), len(before)) == (3, 3 * 2 + 3 + 2 + 1 + 1)
    controller = KeyRotation(store, clock, keyring)
    assert await controller.reconcile("installation") is None

    made = keyring.rotate(NOW, at_once=False)
    await store.transact(lambda tx: tx.put(ROTATIONS, Rotation(made.number, NOW, "arn")))
    assert await controller.reconcile("installation") == KEPT_S
    rotation = store.get(ROTATIONS, rotation_key(2))
    assert rotation is not None
    # 3 keys, 3 repositories, 3 secrets, 3 parameters, 2 certificates, a remote, a rule and the lock.
    assert (rotation.resealed, rotation.broken, rotation.done_at) == (17, 0, NOW)
    assert opened(store, keyring.keys) == [(2, content) for _, content in before]
    assert [open_data_key(made.secret, one.data_key) for one in store.list(REPOSITORIES) if one.data_key] == data_keys
    await store.transact(lambda tx: tx.put(REPOSITORIES, with_data_key(tx, Repository("arn:new", REGION, ACCOUNT, "new", NOW))))
    assert all(open_data_key(made.secret, one.data_key) for one in store.list(REPOSITORIES) if one.data_key)

    await clock.step(KEPT_S)
    assert await controller.reconcile("installation") is None
    assert len(keyring.keys.living) == 1
    await store.close()
    again = KeyringFile(tmp_path)
    again.open()
    assert SECRET not in [one.secret for one in again.keys.generations]
    store = await store_of(tmp_path, again)
    assert opened(store, again.keys) == [(2, content) for _, content in before]
    assert [key.secret_access_key for key in store.list(ACCESS_KEYS)] == ["secret-0", "secret-1", "secret-2"]
    await store.close()


async def test_a_rotation_that_is_cut_off_anywhere_goes_on_at_the_next_start(tmp_path: Path, keyring: KeyringFile) -> None:
    clock = SteppedClock(NOW)
    store = await store_of(tmp_path, keyring)
    await store.transact(lambda tx: everything(tx, keyring.keys))
    before = [content for _, content in opened(store, keyring.keys)]
    keyring.rotate(NOW, at_once=True)
    for turns in range(1, 40):
        job = asyncio.create_task(KeyRotation(store, clock, keyring).reconcile("installation"))
        for _ in range(turns):
            await asyncio.sleep(0)
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        await store.close()
        keyring = KeyringFile(tmp_path)
        keyring.open()
        store = await store_of(tmp_path, keyring)
        assert [content for _, content in opened(store, keyring.keys)] == before
    assert await KeyRotation(store, clock, keyring).reconcile("installation") == VOID_KEPT_S
    assert {number for number, _ in opened(store, keyring.keys)} == {2}
    await store.close()


async def test_what_was_sealed_by_an_old_generation_at_the_last_moment_is_sealed_anew_before_that_goes(
    tmp_path: Path, keyring: KeyringFile
) -> None:
    clock = SteppedClock(NOW)
    store = await store_of(tmp_path, keyring)
    late = secrets.Version("late", NOW, seal(keyring.keys, secrets.PURPOSE, b"late"), True)
    keyring.rotate(NOW, at_once=True)
    controller = KeyRotation(store, clock, keyring)
    assert await controller.reconcile("installation") == VOID_KEPT_S
    await store.transact(lambda tx: tx.put(secrets.SECRETS, secrets.Secret("arn", REGION, ACCOUNT, "s", NOW, NOW, versions=(late,))))
    await clock.step(VOID_KEPT_S)
    assert await controller.reconcile("installation") is None
    assert len(keyring.keys.living) == 1
    assert opened(store, keyring.keys) == [(2, b"late")]
    await store.close()


async def test_what_opens_with_no_generation_is_counted_and_left_as_it_is(tmp_path: Path, keyring: KeyringFile) -> None:
    store = await store_of(tmp_path, keyring)
    broken = secrets.Version("v", NOW, b"not sealed here", True)
    await store.transact(lambda tx: tx.put(secrets.SECRETS, secrets.Secret("arn", REGION, ACCOUNT, "s", NOW, NOW, versions=(broken,))))
    keyring.rotate(NOW, at_once=False)
    await store.transact(lambda tx: tx.put(ROTATIONS, Rotation(2, NOW, "arn")))
    await KeyRotation(store, SteppedClock(NOW), keyring).reconcile("installation")
    rotation = store.get(ROTATIONS, rotation_key(2))
    assert rotation is not None
    assert (rotation.broken, rotation.done_at) == (1, NOW)
    assert store.list(secrets.SECRETS)[0].versions == (broken,)
    await store.close()


def test_every_kind_with_something_sealed_inside_is_sealed_anew() -> None:
    def has_seal(kind: Any) -> bool:
        return any(name in str(kind.type.__annotations__) for name in ("sealed_key", "SealedKey", "'password'", "Action,"))

    meant = {kind.name for kind, _ in SEALED}
    for kind in KINDS:
        if has_seal(kind) and not kind.sealed:
            assert kind.name in meant, kind

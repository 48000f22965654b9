"""A data directory of which a part is missing or from elsewhere."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from longshore.kept import CannotStart, check_database, signing_secret
from longshore.services.acm import model as acm_model
from longshore.services.ecr import kinds as ecr_kinds
from longshore.services.ecr.encryption.keys import ensure_encryption, with_data_key
from longshore.services.ecr.model import REPOSITORIES, Repository
from longshore.services.elbv2 import model as elbv2_model
from longshore.services.iam import model as iam_model
from longshore.services.secretsmanager import model as secretsmanager_model
from longshore.services.ssm import model as ssm_model
from longshore.store.base import Store
from longshore.store.blobs import digest_of
from longshore.store.file_blobs import FileBlobStore
from longshore.store.memory import memory_store


@pytest.fixture
async def store() -> Store:
    return memory_store(
        (*ecr_kinds.KINDS, *secretsmanager_model.KINDS, *ssm_model.KINDS, *acm_model.KINDS, *iam_model.KINDS, *elbv2_model.KINDS)
    )


async def begin(path: Path, store: Store, *, always: bool) -> bytes:
    """As a server does at its first start, and somebody with a repository after that."""
    secret = signing_secret(path, store)
    await store.transact(lambda tx: ensure_encryption(tx, secret, always=always))
    repository = Repository("arn:aws:ecr:us-east-1:000000000000:repository/app", "us-east-1", "000000000000", "app", 0.0)
    await store.transact(lambda tx: tx.create(REPOSITORIES, with_data_key(tx, repository)))
    return secret


async def test_the_key_is_made_once_and_kept_from_others(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "signing-key"
    secret = await begin(path, store, always=True)
    assert len(secret) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert signing_secret(path, store) == secret


async def test_a_lost_key_is_not_replaced_while_anything_is_sealed_with_it(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "signing-key"
    await begin(path, store, always=True)
    path.unlink()
    with pytest.raises(CannotStart, match="missing"):
        signing_secret(path, store)
    assert not path.exists()


@pytest.mark.parametrize("kind", ["String", "SecureString"])
async def test_a_lost_key_is_missed_where_a_parameter_was_sealed_with_it(tmp_path: Path, store: Store, kind: str) -> None:
    path = tmp_path / "signing-key"
    await begin(path, store, always=False)
    version = ssm_model.Version(number=1, type=kind, value=b"v", modified_at=0.0, modified_by="")
    await store.transact(lambda tx: tx.put(ssm_model.PARAMETERS, ssm_model.Parameter("us-east-1", "000000000000", "p", (version,))))
    path.unlink()
    if kind == "String":
        assert signing_secret(path, store)
    else:
        with pytest.raises(CannotStart, match="missing"):
            signing_secret(path, store)


async def test_a_lost_key_is_missed_where_a_certificates_key_was_sealed_with_it(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "signing-key"
    await begin(path, store, always=False)
    uploaded = iam_model.ServerCertificate("000000000000", "web", "ASCA", 0.0, sealed_key=b"sealed")
    await store.transact(lambda tx: tx.put(iam_model.SERVER_CERTIFICATES, uploaded))
    path.unlink()
    with pytest.raises(CannotStart, match="missing"):
        signing_secret(path, store)


async def test_where_nothing_is_sealed_a_lost_key_is_made_anew(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "signing-key"
    secret = await begin(path, store, always=False)
    path.unlink()
    assert signing_secret(path, store) not in (secret, b"")


async def test_another_key_is_told_of(tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "signing-key"
    await begin(path, store, always=True)
    with caplog.at_level(logging.ERROR):
        signing_secret(path, store)
        assert not caplog.records
        path.write_bytes(bytes(32))
        assert signing_secret(path, store) == bytes(32)
    assert "another one" in caplog.text


@pytest.mark.parametrize("content", [b"", b"too short"])
async def test_a_key_that_is_too_short_signs_nothing(tmp_path: Path, store: Store, content: bytes) -> None:
    (tmp_path / "signing-key").write_bytes(content)
    with pytest.raises(CannotStart, match="bytes"):
        signing_secret(tmp_path / "signing-key", store)


async def test_blobs_whose_database_is_gone_are_left_alone(tmp_path: Path) -> None:
    blobs = await FileBlobStore.open(tmp_path / "registry")
    check_database(tmp_path)
    await blobs.put(b"layer", digest_of(b"layer"))
    await blobs.close()
    with pytest.raises(CannotStart, match="missing"):
        check_database(tmp_path)
    (tmp_path / "longshore.db").touch()
    check_database(tmp_path)

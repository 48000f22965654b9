"""A data directory of which a part is missing or from elsewhere."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from longshore.kept import CannotStart, check_database, keys_of
from longshore.kit.keyring_file import KeyringFile
from longshore.kit.master_key import Master
from longshore.kit.sealing import Keyring, newest
from longshore.services.acm import model as acm_model
from longshore.services.ecr import kinds as ecr_kinds
from longshore.services.ecr.encryption.keys import ensure_encryption, with_data_key
from longshore.services.ecr.model import REPOSITORIES, Repository
from longshore.services.elbv2 import model as elbv2_model
from longshore.services.iam import kinds as iam_kinds
from longshore.services.iam import model as iam_model
from longshore.services.secretsmanager import model as secretsmanager_model
from longshore.services.ssm import model as ssm_model
from longshore.store.base import Store
from longshore.store.blobs import digest_of
from longshore.store.file_blobs import FileBlobStore
from longshore.store.memory import memory_store
from tests.cutting import cut_everywhere


@pytest.fixture
async def store() -> Store:
    return memory_store(
        (*ecr_kinds.KINDS, *secretsmanager_model.KINDS, *ssm_model.KINDS, *acm_model.KINDS, *iam_kinds.KINDS, *elbv2_model.KINDS)
    )


def opened(path: Path, store: Store, sealed: int = 0) -> Keyring:
    """As a server does at its start."""
    return keys_of(KeyringFile(path), path / "signing-key", 1.0)(store, sealed)


async def begin(path: Path, store: Store, *, always: bool) -> Keyring:
    """As a server does at its first start, and somebody with a repository after that."""
    keys = opened(path, store)
    await store.transact(lambda tx: ensure_encryption(tx, keys, always=always))
    repository = Repository("arn:aws:ecr:us-east-1:000000000000:repository/app", "us-east-1", "000000000000", "app", 0.0)
    await store.transact(lambda tx: tx.create(REPOSITORIES, with_data_key(tx, repository)))
    return keys


def lose(path: Path) -> None:
    (path / "keyring").unlink()


async def test_the_keyring_is_made_once_and_kept_from_others(tmp_path: Path, store: Store) -> None:
    keys = await begin(tmp_path, store, always=True)
    assert len(newest(keys)) == 32
    assert {name: (tmp_path / name).stat().st_mode & 0o777 for name in os.listdir(tmp_path)} == {"keyring": 0o600, "master-key": 0o600}
    assert newest(opened(tmp_path, store)) == newest(keys)


async def test_a_lost_keyring_is_not_replaced_while_anything_is_sealed_with_it(tmp_path: Path, store: Store) -> None:
    await begin(tmp_path, store, always=True)
    lose(tmp_path)
    with pytest.raises(CannotStart, match="missing"):
        opened(tmp_path, store)
    assert not (tmp_path / "keyring").exists()


async def test_nor_while_there_are_rows_that_only_it_opens(tmp_path: Path, store: Store) -> None:
    with pytest.raises(CannotStart, match="missing"):
        opened(tmp_path, store, sealed=1)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("kind", ["String", "SecureString"])
async def test_a_lost_keyring_is_missed_where_a_parameter_was_sealed_with_it(tmp_path: Path, store: Store, kind: str) -> None:
    await begin(tmp_path, store, always=False)
    version = ssm_model.Version(number=1, type=kind, value=b"v", modified_at=0.0, modified_by="")
    await store.transact(lambda tx: tx.put(ssm_model.PARAMETERS, ssm_model.Parameter("us-east-1", "000000000000", "p", (version,))))
    lose(tmp_path)
    if kind == "String":
        assert opened(tmp_path, store)
    else:
        with pytest.raises(CannotStart, match="missing"):
            opened(tmp_path, store)


async def test_a_lost_keyring_is_missed_where_a_certificates_key_was_sealed_with_it(tmp_path: Path, store: Store) -> None:
    await begin(tmp_path, store, always=False)
    uploaded = iam_model.ServerCertificate("000000000000", "web", "ASCA", 0.0, sealed_key=b"sealed")
    await store.transact(lambda tx: tx.put(iam_model.SERVER_CERTIFICATES, uploaded))
    lose(tmp_path)
    with pytest.raises(CannotStart, match="missing"):
        opened(tmp_path, store)


async def test_where_nothing_is_sealed_a_lost_keyring_is_made_anew(tmp_path: Path, store: Store) -> None:
    keys = await begin(tmp_path, store, always=False)
    lose(tmp_path)
    assert newest(opened(tmp_path, store)) not in (newest(keys), b"")


async def test_another_keyring_is_told_of(tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    await begin(tmp_path, store, always=True)
    with caplog.at_level(logging.ERROR):
        opened(tmp_path, store)
        assert not caplog.records
        lose(tmp_path)
        (tmp_path / "signing-key").write_bytes(bytes(32))
        assert newest(opened(tmp_path, store)) == bytes(32)
    assert "another one" in caplog.text


@pytest.mark.parametrize("content", [b"", b"too short"])
async def test_a_key_of_earlier_versions_that_is_too_short_signs_nothing(tmp_path: Path, store: Store, content: bytes) -> None:
    (tmp_path / "signing-key").write_bytes(content)
    with pytest.raises(CannotStart, match="bytes"):
        opened(tmp_path, store)
    assert (tmp_path / "signing-key").read_bytes() == content


async def test_a_master_key_that_is_gone_is_a_cause_with_a_cure(tmp_path: Path, store: Store) -> None:
    await begin(tmp_path, store, always=False)
    (tmp_path / "master-key").unlink()
    with pytest.raises(CannotStart, match=r"master key .* is missing") as refused:
        opened(tmp_path, store)
    assert "bring it back" in refused.value.fix


async def test_a_master_key_that_is_passed_over_is_said_aloud(tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    keys = await begin(tmp_path, store, always=True)
    file = KeyringFile(tmp_path, Master("file", file=str(tmp_path / "usb")))
    with caplog.at_level(logging.ERROR):
        assert newest(keys_of(file, tmp_path / "signing-key", 1.0)(store, 0)) == newest(keys)
    assert "MASTER KEY THAT WAS GIVEN IS NOT USED" in caplog.text and str(tmp_path / "usb") in caplog.text


async def test_the_key_of_earlier_versions_moves_into_the_keyring(tmp_path: Path, store: Store) -> None:
    (tmp_path / "signing-key").write_bytes(b"s" * 32)
    keys = opened(tmp_path, store)
    assert (newest(keys), keys.current.number) == (b"s" * 32, 1)
    assert not (tmp_path / "signing-key").exists()
    assert newest(opened(tmp_path, store)) == b"s" * 32


async def test_it_goes_only_once_the_keyring_has_it(tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    # As when the power failed between the two.
    (tmp_path / "signing-key").write_bytes(b"s" * 32)
    KeyringFile(tmp_path).begin(b"s" * 32, 1.0)
    opened(tmp_path, store)
    assert not (tmp_path / "signing-key").exists()
    (tmp_path / "signing-key").write_bytes(b"t" * 32)
    opened(tmp_path, store)
    assert (tmp_path / "signing-key").exists()
    assert "no key of this keyring" in caplog.text


async def test_wherever_it_is_cut_off_on_the_way_it_is_not_lost(tmp_path: Path, store: Store) -> None:
    def begin() -> None:
        for name in os.listdir(tmp_path):
            (tmp_path / name).unlink()
        (tmp_path / "signing-key").write_bytes(b"s" * 32)

    def check() -> None:
        assert newest(opened(tmp_path, store)) == b"s" * 32
        assert sorted(os.listdir(tmp_path)) == ["keyring", "master-key"]

    # The master key, the keyring, and away with the old one.
    assert cut_everywhere(lambda: opened(tmp_path, store), check, begin) == 3


async def test_a_keyring_that_cannot_be_written_leaves_the_key_of_earlier_versions(tmp_path: Path, store: Store) -> None:
    (tmp_path / "signing-key").write_bytes(b"s" * 32)
    file = KeyringFile(tmp_path, Master("file", file=str(tmp_path / "nowhere" / "key")))
    with pytest.raises(CannotStart, match="cannot be made"):
        keys_of(file, tmp_path / "signing-key", 1.0)(store, 0)
    assert os.listdir(tmp_path) == ["signing-key"]


async def test_blobs_whose_database_is_gone_are_left_alone(tmp_path: Path) -> None:
    blobs = await FileBlobStore.open(tmp_path / "registry")
    check_database(tmp_path)
    await blobs.put(b"layer", digest_of(b"layer"))
    await blobs.close()
    with pytest.raises(CannotStart, match="missing"):
        check_database(tmp_path)
    (tmp_path / "longshore.db").touch()
    check_database(tmp_path)

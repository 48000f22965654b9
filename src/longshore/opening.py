"""What a data directory holds, opened: the store with what exists from the start, the registry's files, events, history, the audit log,
metrics, and the keyring that opens what is sealed among them. Whatever is in the way comes out as a cause and a cure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from longshore.audit.log import open_audit_log
from longshore.config import DataDirectory, ServerConfig
from longshore.environment import without_secrets
from longshore.gateway.agents.control import forget_sessions
from longshore.gateway.auditing.keeping import Auditing, KeptKey
from longshore.kept import CannotStart, check_database, keys_of
from longshore.kit.keyring_file import KeyringFile
from longshore.kit.sealing import Keyring, Keys
from longshore.resources import KINDS
from longshore.running import Running, Setting
from longshore.services.cloudtrail.model import AUDIT, SIGNING_KEYS
from longshore.services.ec2.defaults import ensure_default_network
from longshore.services.ecr.encryption.keys import ensure_encryption
from longshore.services.ecs.exec.rules import forget_all as forget_exec_sessions
from longshore.services.iam.identities import ensure_root
from longshore.store.archive import Archive
from longshore.store.base import Store, StoreError, StoreLocked, StoreUnavailable, Tx
from longshore.store.event_log import EventLog
from longshore.store.file_blobs import FileBlobStore
from longshore.store.sqlite import open_store
from longshore.store.sqlite_archive import SqliteArchive
from longshore.store.sqlite_events import open_event_log
from longshore.store.sqlite_metrics import SqliteMetricStore, open_metric_store


class Holdings(NamedTuple):
    store: Store
    blobs: FileBlobStore
    #: what signs, seals and encrypts here
    keys: Keyring
    keyring: KeyringFile
    founding: Founding
    events: EventLog
    archive: Archive
    auditing: Auditing
    metrics: SqliteMetricStore


class Founding:
    """What exists from the start, and again when everything was wiped."""

    def __init__(self, config: ServerConfig, keys: Keys) -> None:
        self._config = config
        self._keys = keys
        self._audit_key = KeptKey()

    def __call__(self, tx: Tx, now: float) -> None:
        """The root user's key, the default network, the keys there have to be; and no agent is connected yet."""
        config = self._config
        ensure_root(tx, config.account_id, config.credentials.access_key_id, config.credentials.secret_access_key, now)
        ensure_default_network(tx, config.account_id, config.region, config.zones, now)
        ensure_encryption(tx, self._keys, always=config.storage.encrypt)
        self._audit_key.ensure(tx)
        forget_sessions(tx, now)
        forget_exec_sessions(tx)


async def open_holdings(setting: Setting, handed: str) -> Holdings:
    """`handed` is the master key, where it came from the environment. Raises CannotStart."""
    config, clock, ids, _, running = setting
    path = config.data_dir
    with _explained(path):
        DataDirectory(path).prepare()
        _check_root(config)
        check_database(path)
        keyring = KeyringFile(path, config.master_key, handed, without_secrets())
        store = await open_store(path, KINDS, keys_of(keyring, path / "signing-key", clock.now()))
        running.ends_with(store.close)
        blobs = await FileBlobStore.open(path / "registry", clock=clock, ids=ids, secret=keyring.keys)
        running.ends_with(blobs.close)
        founding = Founding(config, keyring.keys)
        await store.transact(lambda tx: founding(tx, clock.now()))
    return Holdings(
        store,
        blobs,
        keyring.keys,
        keyring,
        founding,
        events=await _open_events(config, running),
        archive=await _open_archive(config, running),
        auditing=await _open_audit(setting, store),
        metrics=await _open_metrics(config, running),
    )


def _check_root(config: ServerConfig) -> None:
    """Nobody is to be the root for want of a secret. Raises CannotStart."""
    credentials = config.credentials
    if not credentials.secret_access_key:
        raise CannotStart(
            f"{DataDirectory(config.data_dir).credentials_file} does not say the secret of the root's key {credentials.access_key_id}",
            "bring it back; or, if it is lost, start with `longshore up`, which makes another key for the root",
        )


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What goes wrong with a data directory comes out as CannotStart."""
    try:
        yield
    except StoreLocked as locked:
        raise CannotStart(str(locked), "stop the other server, or choose another --data-dir") from None
    except StoreUnavailable as problem:
        raise CannotStart(
            f"what {path} holds cannot be used: {problem}", f"make room on its disk, bring back a copy of {path}, or move it away"
        ) from None
    except StoreError as problem:
        raise CannotStart(f"what {path} holds cannot be read: {problem}", f"bring back a copy of {path}, or move it away") from None
    except OSError as problem:
        raise CannotStart(f"the data directory {path} cannot be used: {problem.strerror}", "choose another --data-dir") from None


async def _open_events(config: ServerConfig, running: Running) -> EventLog:
    """Raises CannotStart."""
    kept = config.events
    try:
        events = await open_event_log(config.data_dir, kept_s=kept.kept_days * 86_400.0, kept_bytes=kept.kept_mib << 20)
    except StoreError as problem:
        raise CannotStart(f"events cannot be kept: {problem}", "bring back a copy of that file, or move it away") from None
    running.ends_with(events.close)
    return events


async def _open_archive(config: ServerConfig, running: Running) -> Archive:
    """Raises CannotStart."""
    try:
        archive = await SqliteArchive.open(config.data_dir)
    except StoreUnavailable as problem:
        raise CannotStart(f"history cannot be kept: {problem}", "see to that file's permissions and its disk") from None
    running.ends_with(archive.close)
    return archive


async def _open_audit(setting: Setting, store: Store) -> Auditing:
    """Raises CannotStart."""
    config, clock, ids, site, running = setting
    path = config.data_dir / "audit"
    key = store.get(SIGNING_KEYS, AUDIT)
    assert key is not None, "it was put there at the start"
    kept = config.audit
    try:
        log = await open_audit_log(
            path,
            key.key,
            clock,
            f"{config.account_id}/{config.region}",
            kept_s=kept.kept_days * 86_400.0,
            kept_bytes=kept.kept_mib << 20,
        )
    except OSError as problem:
        raise CannotStart(f"records cannot be kept in {path}: {problem.strerror}", "see to its permissions and its disk") from None
    auditing = Auditing(log, clock, ids, site, best_effort=kept.best_effort)
    running.ends_with(auditing.close)
    return auditing


async def _open_metrics(config: ServerConfig, running: Running) -> SqliteMetricStore:
    """Raises CannotStart."""
    try:
        metrics = await open_metric_store(config.data_dir)
    except StoreError as problem:
        raise CannotStart(f"metrics cannot be kept: {problem}", "bring back a copy of that file, or move it away") from None
    running.ends_with(metrics.close)
    return metrics

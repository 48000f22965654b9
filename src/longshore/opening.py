"""What a data directory holds, opened: the store, the registry's files, events, history, metrics, and the keyring that opens what is
sealed among them. Whatever is in the way comes out as a cause and a cure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from longshore.audit.log import open_audit_log
from longshore.config import DataDirectory, ServerConfig
from longshore.environment import without_secrets
from longshore.gateway.auditing.keeping import Auditing
from longshore.kept import CannotStart, check_database, keys_of
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.kit.keyring_file import KeyringFile
from longshore.kit.sealing import Keyring
from longshore.resources import KINDS
from longshore.services.call import Site
from longshore.services.cloudtrail.model import AUDIT, SIGNING_KEYS
from longshore.store.archive import Archive
from longshore.store.base import Store, StoreError, StoreLocked, StoreUnavailable
from longshore.store.event_log import EventLog
from longshore.store.file_blobs import FileBlobStore
from longshore.store.sqlite import open_store
from longshore.store.sqlite_archive import SqliteArchive
from longshore.store.sqlite_events import open_event_log
from longshore.store.sqlite_metrics import SqliteMetricStore, open_metric_store

#: told how to close each part, as it is opened
Undo = Callable[[Callable[[], Awaitable[Any]]], None]


class Holdings(NamedTuple):
    store: Store
    blobs: FileBlobStore
    keys: Keyring
    keyring: KeyringFile


async def open_holdings(config: ServerConfig, handed: str, clock: Clock, ids: Ids, undo: Undo) -> Holdings:
    """`handed` is the master key, where it came from the environment. Raises CannotStart."""
    path = config.data_dir
    with explained(path):
        DataDirectory(path).prepare()
        check_database(path)
        keyring = KeyringFile(path, config.master_key, handed, without_secrets())
        store = await open_store(path, KINDS, keys_of(keyring, path / "signing-key", clock.now()))
        undo(store.close)
        blobs = await FileBlobStore.open(path / "registry", clock=clock, ids=ids, secret=keyring.keys)
        undo(blobs.close)
    return Holdings(store, blobs, keyring.keys, keyring)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
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


async def open_events(config: ServerConfig, undo: Undo) -> EventLog:
    """Raises CannotStart."""
    kept = config.events
    try:
        events = await open_event_log(config.data_dir, kept_s=kept.kept_days * 86_400.0, kept_bytes=kept.kept_mib << 20)
    except StoreError as problem:
        raise CannotStart(f"events cannot be kept: {problem}", "bring back a copy of that file, or move it away") from None
    undo(events.close)
    return events


async def open_archive(config: ServerConfig, undo: Undo) -> Archive:
    """Raises CannotStart."""
    try:
        archive = await SqliteArchive.open(config.data_dir)
    except StoreUnavailable as problem:
        raise CannotStart(f"history cannot be kept: {problem}", "see to that file's permissions and its disk") from None
    undo(archive.close)
    return archive


async def open_audit(config: ServerConfig, store: Store, clock: Clock, ids: Ids, site: Site, undo: Undo) -> Auditing:
    """Raises CannotStart."""
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
    undo(auditing.close)
    return auditing


async def open_metrics(config: ServerConfig, undo: Undo) -> SqliteMetricStore:
    """Raises CannotStart."""
    try:
        metrics = await open_metric_store(config.data_dir)
    except StoreError as problem:
        raise CannotStart(f"metrics cannot be kept: {problem}", "bring back a copy of that file, or move it away") from None
    undo(metrics.close)
    return metrics

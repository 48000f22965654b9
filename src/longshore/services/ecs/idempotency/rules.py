"""What a client token means when it comes again."""

from __future__ import annotations

from longshore.services.ecs.idempotency.model import RUN_TOKENS, RunToken
from longshore.services.ecs.model import Task
from longshore.store.base import Tx

#: for which a token means what it meant first, as at AWS
KEPT_S = 24 * 3600.0
#: forgotten at a time, whenever one is noted: they go faster than they come
_SWEPT = 8


def noted_run(tx: Tx, cluster_arn: str, token: str, now: float) -> RunToken | None:
    """The latest request with this token, if it is not too long ago."""
    found = tx.list(RUN_TOKENS, "token", f"{cluster_arn}|{token}")
    return found[-1] if found and found[-1].at > now - KEPT_S else None


def note_run(tx: Tx, cluster_arn: str, token: str, digest: str, tasks: list[Task], now: float) -> None:
    for old in tx.list(RUN_TOKENS, limit=_SWEPT):
        if old.at <= now - KEPT_S:
            tx.delete(RUN_TOKENS, RUN_TOKENS.key(old))
    tx.put(RUN_TOKENS, RunToken(cluster_arn, token, digest, now, tuple(task.arn for task in tasks)))

"""Why somebody is not let in: the status a load balancer answers with, and the word for it in its access log."""

from __future__ import annotations


class NotLetIn(Exception):
    """`metric` is the one of CloudWatch's that counts it."""

    def __init__(self, status: int, reason: str, detail: str = "", metric: str = "ELBAuthFailure") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.status = status
        self.reason = reason
        self.metric = metric


class ProviderFailed(NotLetIn):
    """The identity provider cannot be reached, or takes too long: it has decided nothing."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(500, reason, detail, "ELBAuthError")

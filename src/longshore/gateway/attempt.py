"""One request to an API as far as it got: what a record of it is made of, whether it was answered or refused.

The gateway fills it in step by step. Whoever looks at requests from beside their way (`Watcher`) is told of each attempt once, when
its outcome is known; whoever may hold one up (`Limiter`) is asked as soon as it is known whose it is and what it asks for.
"""

from __future__ import annotations

from typing import Any, Protocol

from longshore.aws.errors import AwsError
from longshore.aws.operation import Operation
from longshore.gateway.catalogue import Served
from longshore.gateway.identify import Identified
from longshore.gateway.request import ApiRequest
from longshore.services.call import Call, Principal


class Attempt:
    """What is not known (yet) is None, or empty."""

    __slots__ = (
        *("api", "call", "error", "identified", "operation", "operation_name"),
        *("parsed", "request", "request_id", "resources", "response"),
    )

    def __init__(self, request: ApiRequest, request_id: str) -> None:
        self.request = request
        self.request_id = request_id
        self.identified: Identified | None = None
        self.api: Served | None = None
        #: as the request says it; no operation need have that name
        self.operation_name = ""
        self.operation: Operation | None = None
        #: the request's shape
        self.parsed: Any = None
        self.call: Call | None = None
        #: ARNs that the operation acts on; None where it has not been allowed
        self.resources: tuple[str, ...] | None = None
        #: the answer's shape; None where there is an error
        self.response: Any = None
        self.error: AwsError | None = None


class Watcher(Protocol):
    def note(self, attempt: Attempt) -> None:
        """Called for every attempt before its answer leaves. Must be quick, and raise nothing but StoreUnavailable."""


class Limiter(Protocol):
    def admit(self, principal: Principal, api: str, operation: str) -> None:
        """Raises Throttling where the principal has asked too much lately."""


class Unwatched:
    """Where nobody keeps records."""

    def note(self, attempt: Attempt) -> None:
        return


class Unlimited:
    """Where nobody is held up."""

    def admit(self, principal: Principal, api: str, operation: str) -> None:
        return

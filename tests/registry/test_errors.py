"""Errors of ECR as the registry tells them."""

from __future__ import annotations

import pytest

from longshore.aws.errors import AccessDenied, AwsError, ServiceUnavailable
from longshore.registry.errors import told
from longshore.services.ecr import errors as ecr

CLIENTS = [error for error in vars(ecr).values() if isinstance(error, type) and issubclass(error, AwsError) and error.status < 500]


@pytest.mark.parametrize("error", [*CLIENTS, AccessDenied], ids=lambda error: error.__name__)
def test_what_the_client_did_wrong_is_never_the_servers_failure(error: type[AwsError]) -> None:
    made = error.__new__(error)
    AwsError.__init__(made, "why")  # each has a constructor of its own, and what it says does not matter here
    assert told(made).status < 500


def test_what_the_server_cannot_do_stays_its_own() -> None:
    assert told(ServiceUnavailable("why")).status >= 500

"""An account to ask IAM and STS in: requests go through botocore's own serialiser and ours, answers back through both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import botocore.session
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

import longshore.services.iam.operations
import longshore.services.sts.operations  # noqa: F401
from longshore.aws.protocol import query
from longshore.aws.shapes import iam as iam_shapes
from longshore.aws.shapes import sts as sts_shapes
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.services.call import Call, Principal, Site
from longshore.services.iam.api import api as iam
from longshore.services.iam.evaluator import decide
from longshore.services.iam.identities import Policies, global_context, root_principal
from longshore.services.iam.kinds import KINDS
from longshore.services.sts.api import api as sts
from longshore.store.base import Store
from longshore.store.blobs import BlobStore
from longshore.store.memory import memory_store

ACCOUNT = "000000000000"
_session = botocore.session.get_session()
_SHAPES = {"iam": iam_shapes, "sts": sts_shapes}
_APIS = {"iam": iam, "sts": sts}
_MODELS = {name: _session.get_service_model(name) for name in _APIS}


class Account:
    """One account; `principal` is who asks."""

    def __init__(self, store: Store | None = None, account_id: str = ACCOUNT, principal: Principal | None = None) -> None:
        self.store = store if store is not None else memory_store(KINDS)
        self.clock = SteppedClock()
        self.account_id = account_id
        self.call = Call(
            store=self.store,
            blobs=cast(BlobStore, None),  # nothing here stores bytes
            clock=self.clock,
            ids=SeededIds(int(account_id)),
            site=Site(account_id, "us-east-1", ("us-east-1a",), "http://127.0.0.1:4566", 4566),
            principal=principal or root_principal(account_id, "AKIAROOTROOTROOTROOT"),
            account_id=account_id,
            region="us-east-1",
            request_id="5a3b",
            source_ip="127.0.0.1",
            base_url="http://127.0.0.1:4566",
            secret_for_signing=b"secret",
        )

    def as_user(self, user: dict[str, Any]) -> Account:
        """The same account, asked by one of its users."""
        asking = Account(self.store, self.account_id, Principal(self.account_id, user["Arn"], user["UserId"], "AKIAUSERUSERUSERUSER"))
        asking.clock = self.clock
        asking.call = replace(asking.call, clock=self.clock, ids=self.call.ids)
        return asking

    async def ask(self, operation: str, api: str = "iam", **parameters: Any) -> dict[str, Any]:
        """Raises the AwsError that would be rendered."""
        shapes, model = _SHAPES[api], _MODELS[api].operation_model(operation)
        sent = create_serializer("query").serialize_to_request(parameters, model)["body"]
        request = query.parse(shapes.MODEL, shapes.OPERATIONS[operation], botocore.compat.urlencode(sent).encode())
        declared = _APIS[api].operations[operation]
        list(declared.resource(self.call, request))
        response = await declared.handle(self.call, request)
        body, _ = query.render(shapes.MODEL, shapes.OPERATIONS[operation], response, "5a3b")
        answer = create_parser("query").parse({"status_code": 200, "headers": {}, "body": body}, model.output_shape)
        del answer["ResponseMetadata"]
        return cast(dict[str, Any], answer)

    def resources(self, operation: str, **parameters: Any) -> list[str]:
        """What the operation's permission is checked against."""
        return list(iam.operations[operation].resource(self.call, _read(operation, parameters)))

    def conditions(self, operation: str, **parameters: Any) -> dict[str, list[str]]:
        """The condition keys that a request brings."""
        declared = iam.operations[operation].conditions
        assert declared is not None
        return declared(self.call, _read(operation, parameters))

    def may(self, user: dict[str, Any], action: str, resource: str = "*") -> bool:
        principal = Principal(self.account_id, user["Arn"], user["UserId"], "AKIAUSERUSERUSERUSER")
        context = global_context(
            principal, now=self.clock.now(), region="us-east-1", source_ip="127.0.0.1", secure=False, user_agent="test"
        )
        policies = Policies(self.store)
        return decide(policies.of(principal), [], action, resource, context, principal, limits=policies.limits(principal)).allowed


def _read(operation: str, parameters: dict[str, Any]) -> Any:
    model = _MODELS["iam"].operation_model(operation)
    sent = create_serializer("query").serialize_to_request(parameters, model)["body"]
    return query.parse(iam_shapes.MODEL, iam_shapes.OPERATIONS[operation], botocore.compat.urlencode(sent).encode())

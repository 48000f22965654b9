"""Requests and answers of the operations by which machines are let in: ours, AWS has none of them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from longshore.aws.protocol.model import OperationShape

Text = Annotated[str, Meta(max_length=256)]


class CreateActivationRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    description: Text | None = None
    #: 1 hour unless it is given, 30 days at most
    expires_in_minutes: int | None = None
    #: machines it lets in; 1 unless it is given, 1000 at most
    registration_limit: int | None = None


class ActivationView(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    activation_id: str
    created_at: float
    expires_at: float
    registration_limit: int
    registrations_count: int
    description: str = ""
    created_by: str = ""
    #: ids of the machines that it has let in
    instance_ids: tuple[str, ...] = ()


class CreateActivationResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    activation: ActivationView
    #: shown this once
    activation_code: str


class ListActivationsRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    pass


class ListActivationsResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    activations: tuple[ActivationView, ...] = ()


class DeleteActivationRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    activation_id: str


class DeleteActivationResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    activation: ActivationView


CREATE = OperationShape("LongshoreCreateActivation", CreateActivationRequest, CreateActivationResponse)
LIST = OperationShape("LongshoreListActivations", ListActivationsRequest, ListActivationsResponse)
DELETE = OperationShape("LongshoreDeleteActivation", DeleteActivationRequest, DeleteActivationResponse)

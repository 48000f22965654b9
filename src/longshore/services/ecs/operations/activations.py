"""Codes that let machines of one's own in as container instances. Operations of our own (docs/extensions.md)."""

from __future__ import annotations

from longshore.aws.operation import ANY_RESOURCE
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import InvalidParameterException
from longshore.services.ecs.lookup import scope_of_call
from longshore.services.ecs.machines import shapes
from longshore.services.ecs.machines.model import ACTIVATIONS, MACHINES, Activation, Machine, activation_key
from longshore.services.ecs.machines.sessions import hash_of, new_code
from longshore.store.base import Reader, Tx

DEFAULT_MINUTES, MOST_MINUTES = 60, 30 * 24 * 60
MOST_MACHINES = 1000


@api.operation("LongshoreCreateActivation", resource=ANY_RESOURCE, shape=shapes.CREATE)
async def create_activation(call: Call, request: shapes.CreateActivationRequest) -> shapes.CreateActivationResponse:
    minutes = DEFAULT_MINUTES if request.expires_in_minutes is None else request.expires_in_minutes
    most = 1 if request.registration_limit is None else request.registration_limit
    if not 1 <= minutes <= MOST_MINUTES:
        raise InvalidParameterException(f"expiresInMinutes must be between 1 and {MOST_MINUTES}.")
    if not 1 <= most <= MOST_MACHINES:
        raise InvalidParameterException(f"registrationLimit must be between 1 and {MOST_MACHINES}.")
    code, now = new_code(call.ids), call.clock.now()
    row = Activation(
        id=call.ids.uuid(),
        account_id=call.account_id,
        region=call.region,
        code_sha256=hash_of(code),
        created_at=now,
        expires_at=now + minutes * 60,
        most=most,
        created_by=call.principal.arn,
        description=request.description or "",
    )
    await call.store.transact(lambda tx: tx.create(ACTIVATIONS, row))
    return shapes.CreateActivationResponse(activation=_view(row, ()), activation_code=code)


@api.operation("LongshoreListActivations", resource=ANY_RESOURCE, shape=shapes.LIST)
async def list_activations(call: Call, request: shapes.ListActivationsRequest) -> shapes.ListActivationsResponse:
    found = call.store.list(ACTIVATIONS, "scope", scope_of_call(call))
    return shapes.ListActivationsResponse(activations=tuple(_view(one, _machines(call.store, one)) for one in found))


@api.operation("LongshoreDeleteActivation", resource=ANY_RESOURCE, shape=shapes.DELETE)
async def delete_activation(call: Call, request: shapes.DeleteActivationRequest) -> shapes.DeleteActivationResponse:
    """The code lets nobody in any more, and the sessions of the machines that it let in end at once. Raises InvalidParameterException."""

    def delete(tx: Tx) -> tuple[Activation, list[Machine]]:
        found = tx.get(ACTIVATIONS, activation_key(call.region, call.account_id, request.activation_id))
        if found is None:
            raise InvalidParameterException("The activation is not known.")
        machines = _machines(tx, found)
        for machine in machines:
            tx.delete(MACHINES, MACHINES.key(machine))
        tx.delete(ACTIVATIONS, ACTIVATIONS.key(found))
        return found, machines

    found, machines = await call.store.transact(delete)
    return shapes.DeleteActivationResponse(activation=_view(found, machines))


def _machines(reader: Reader, activation: Activation) -> list[Machine]:
    return reader.list(MACHINES, "activation", f"{activation.account_id}:{activation.id}")


def _view(activation: Activation, machines: list[Machine] | tuple[()]) -> shapes.ActivationView:
    return shapes.ActivationView(
        activation_id=activation.id,
        created_at=activation.created_at,
        expires_at=activation.expires_at,
        registration_limit=activation.most,
        registrations_count=activation.used,
        description=activation.description,
        created_by=activation.created_by,
        instance_ids=tuple(machine.instance_id for machine in machines),
    )

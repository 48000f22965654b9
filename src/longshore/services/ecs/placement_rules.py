"""What may be asked of placement: constraints and strategies as RunTask and services take them. Pure."""

from __future__ import annotations

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.cluster_query import QueryError, parse
from longshore.services.ecs.errors import InvalidParameterException

MOST_CONSTRAINTS = 10
MOST_STRATEGIES = 5

Constraints = tuple[shapes.PlacementConstraint, ...]
Strategy = tuple[shapes.PlacementStrategy, ...]


def checked_constraints(given: Constraints | None) -> Constraints:
    """Raises InvalidParameterException."""
    if len(given or ()) > MOST_CONSTRAINTS:
        raise InvalidParameterException(f"The number of placement constraints must not be more than {MOST_CONSTRAINTS}.")
    for constraint in given or ():
        if constraint.type == "memberOf":
            try:
                parse(constraint.expression or "")
            except QueryError as error:
                raise InvalidParameterException(f"Invalid expression: {error}") from None
        elif constraint.type != "distinctInstance":
            raise InvalidParameterException("The type of a placement constraint must be distinctInstance or memberOf.")
        elif constraint.expression:
            raise InvalidParameterException("The placement constraint distinctInstance takes no expression.")
    return given or ()


def checked_strategy(given: Strategy | None) -> Strategy:
    """Raises InvalidParameterException."""
    if len(given or ()) > MOST_STRATEGIES:
        raise InvalidParameterException(f"The number of placement strategies must not be more than {MOST_STRATEGIES}.")
    for strategy in given or ():
        field = strategy.field or ""
        if strategy.type is None:
            raise InvalidParameterException("The type of a placement strategy must be random, spread or binpack.")
        if strategy.type == "binpack" and field.lower() not in ("cpu", "memory"):
            raise InvalidParameterException("The field of the placement strategy binpack must be cpu or memory.")
        if strategy.type == "spread" and field.lower() not in ("instanceid", "host") and not field.startswith("attribute:"):
            raise InvalidParameterException("The field of the placement strategy spread must be instanceId, host or attribute:NAME.")
        if strategy.type == "random" and field:
            raise InvalidParameterException("The placement strategy random takes no field.")
    return given or ()


def with_definition(constraints: Constraints, definition: shapes.TaskDefinition) -> Constraints:
    """`constraints` and those of the definition itself."""
    own = definition.placement_constraints or ()
    return (*constraints, *(shapes.PlacementConstraint(type="memberOf", expression=constraint.expression) for constraint in own))

"""What a rule does with requests, once it is chosen: a module per type of action.

Each has one function that makes lines out of an action. They stand behind all that choose a rule and hold for requests whose
`txn.r` is the rule's own (`when`); one that asks who it is may have put something else there meanwhile. Pure.
"""

from __future__ import annotations

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.render.actions.fixed_response import fixed_response_lines
from longshore.balancer.render.actions.forward import backends_of, forward_lines
from longshore.balancer.render.actions.redirect import redirect_lines
from longshore.balancer.render.bodies import Bodies
from longshore.balancer.snapshot import Front
from longshore.balancer.words import Unrenderable, quoted

#: stands in `txn.r` for a backend where there is more to be done than forward to one group
NOBODY = "-"


def decision(priority: int, actions: tuple[shapes.Action, ...]) -> str:
    """What `txn.r` is for requests of a rule; priority 0 is the default rule's."""
    groups = backends_of(last_of(actions))
    return f"{priority}|{groups[0][0] if len(groups) == 1 else NOBODY}"


def chosen(decision: str) -> str:
    """The condition under which a rule's lines are to be obeyed."""
    return f"{{ var(txn.r) -m str {quoted(decision)} }}"


def action_lines(decision: str, actions: tuple[shapes.Action, ...], front: Front, bodies: Bodies, secret: str) -> list[str]:
    action = last_of(actions)
    when = f"if {chosen(decision)}"
    match action.type:
        case "fixed-response":
            return fixed_response_lines(action, when, bodies)
        case "redirect":
            return redirect_lines(action, when, front)
        case "forward":
            return forward_lines(action, when, secret)
    raise Unrenderable(f"an action of type {action.type!r}")


def last_of(actions: tuple[shapes.Action, ...]) -> shapes.Action:
    if not actions:
        raise Unrenderable("a rule without an action")
    return actions[-1]

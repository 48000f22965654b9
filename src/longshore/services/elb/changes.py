"""One change of a Classic load balancer: found, changed and kept with everything that follows from it, in one transaction."""

from __future__ import annotations

from collections.abc import Callable

from longshore.services.call import Call
from longshore.services.elb.lookup import find_load_balancer
from longshore.services.elb.model import ClassicLoadBalancer
from longshore.services.elb.records import save
from longshore.store.base import Reader, Tx

#: (what it may look at, the load balancer as it is) -> as it is to be. Raises what is in the way.
Change = Callable[[Reader, ClassicLoadBalancer], ClassicLoadBalancer]


async def change(call: Call, name: str, how: Change) -> ClassicLoadBalancer:
    now = call.clock.now()

    def apply(tx: Tx) -> ClassicLoadBalancer:
        known = find_load_balancer(tx, call, name)
        wanted = how(tx, known)
        return save(tx, wanted, now) if wanted != known else known

    return await call.store.transact(apply)

"""The compiled request path: dispatch, bouncer, batch queues, functions, counts.

Rules, precise enough to re-implement, stand in ``docs/simulator.md``. A server's future is known
once its open batch is closed (no request can join any more), so batches need no event queue: an
open batch is closed when it fills, when its start has passed, when it refuses one more request, or
when its server leaves.
"""

from markopt.engine.kernel.draws import draw_index
from markopt.engine.kernel.entry_points import (
    SERVE,
    add_server,
    advance,
    provision_functions,
    remove_server,
    take_server,
)

__all__ = [
    "SERVE",
    "add_server",
    "advance",
    "draw_index",
    "provision_functions",
    "remove_server",
    "take_server",
]

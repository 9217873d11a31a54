"""HTTP in front, sessions in the middle, verification behind.

Theory of operation
===================

::

    hypercorn ── front ─┬─ hot_path ────────┬─ routes ── Sessions ── Session task ── Box (package sandbox)
                cookie, │  most requests    │  parse,    the         owns one
                prefix  └─ framework ── app ┘  act,      registry    sandbox
                           the others   Quart  render

**Who owns what.** `open_sessions` holds one nursery; every session is a task in it, and every tool call a
task in its session's own. A request only ever waits for one of them: a client that hangs up cancels its
waiting and nothing else. Sessions are opened around whatever serves HTTP, not inside its nursery, so neither
a failing session nor a failing request can take the other down.

**Who is to blame.** What the model did wrong is an observation, with status 200. What the client did wrong is
a `ClientError` and has a status in one table (`errors`). What went wrong on our side makes the rollout
*masked*: a verify reply that says so and that nobody trains on.

**What a session costs once it is over.** A record with digests, a few numbers and the verdict, for as long as
a lost reply may be asked for again; never the trajectory.

**Rooms.** `http` speaks to clients and `sessions` keeps what they ask for. `verify` is the library that
verdicts are made with, `environments` are made from it; `receipts` signs verdicts, `states` keeps what they
were about. `playing` plays rows as an agent would, and `redteam` tries to earn undeserved verdicts with it.
`mcp`, `sandboxes`, `aggregation` and `gym` are further ways in; `description` says what there is; `client` is
the other end, and knows nothing of the rest.

What users write is in `server.environment`.
"""

from server import _kin as _kin  # first: it makes sure that the others are the right ones
from server.environment import Environment, Rollout, Session, Verdict

__all__ = ["Environment", "Rollout", "Session", "Verdict"]

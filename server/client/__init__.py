"""A client: rollouts in a few lines, on any event loop or none.

    from server.client import AsyncClient

    async with AsyncClient("http://127.0.0.1:8000") as client:
        async with client.session(row) as session:
            reply = await session.call("python", code="6 * 7")
            verdict = await session.verify(response)

`Client` is the same without ``async`` and ``await``. Each session keeps its own cookie, so one client plays
as many rollouts at once as there are tasks, or threads, that use it.

Theory of operation
===================

`conversation` knows what goes out and what comes back, and touches no network. `asynchronous` and
`synchronous` carry that through httpx, one on anyio's loops and one without. A request whose connection broke
is sent again, for as long as `patience_seconds` say; each call and seed has an Idempotency-Key, so however
often it is sent it is executed once. A reply, whatever its status, is never asked for again.

Nothing here imports the server: it needs the extra ``creche[client]`` and no more.
"""

from server.client.asynchronous import AsyncClient, AsyncSession
from server.client.replies import CallReply, Refused, Unreachable, Verdict
from server.client.synchronous import Client, Session

__all__ = [
    "AsyncClient",
    "AsyncSession",
    "CallReply",
    "Client",
    "Refused",
    "Session",
    "Unreachable",
    "Verdict",
]

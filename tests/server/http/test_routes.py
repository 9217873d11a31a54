from __future__ import annotations

import json

import trio
import trio.lowlevel

from server.http import routes
from server.http.visit import Visit
from tests.server.worlds import SIGNER, open_game


async def test_reports_on_runs_take_one_thread_and_leave_the_others_to_sessions() -> None:
    replies = [
        {"reward": number % 2, "_ng_task_index": 0, "_ng_rollout_index": number} for number in range(200)
    ]
    body = json.dumps({"verify_responses": replies}).encode()
    most = 0
    async with open_game() as sessions, trio.open_nursery() as nursery:

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, trio.to_thread.current_default_thread_limiter().borrowed_tokens)
                await trio.lowlevel.checkpoint()

        nursery.start_soon(watch)
        async with trio.open_nursery() as asking:
            for _ in range(6):
                visit = Visit(sessions, None, SIGNER.new_id())
                asking.start_soon(routes.aggregate_metrics, visit, body)
        nursery.cancel_scope.cancel()
    assert 0 == most

"""Runs in NeMo Gym's own environment: has its session check examine the server at the URL that is given."""

import sys
from http.client import HTTPConnection
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response  # pyright: ignore[reportMissingImports]  # not in this environment
from nemo_gym.base_resources_server import (  # pyright: ignore[reportMissingImports]  # likewise
    ResourcesSeedSessionRequest,
)
from nemo_gym.testing.session_conformance import (  # pyright: ignore[reportMissingImports]  # likewise
    check_resources_session_contract,
)

target = urlsplit(sys.argv[1])
app = FastAPI()


@app.post("/{path:path}")  # type: ignore[untyped-decorator]  # mypy sees no FastAPI here
async def forward(path: str, request: Request) -> Response:
    upstream = HTTPConnection(target.hostname or "", target.port, timeout=60)
    upstream.request("POST", f"/{path}", await request.body(), {"Content-Type": "application/json"})
    reply = upstream.getresponse()
    answer = Response(reply.read(), reply.status)
    upstream.close()
    return answer


seed = ResourcesSeedSessionRequest(
    resources_session_id="resources-session-1",
    episode_id={"rollout_id": "0-0", "attempt": 0},
    task_id={"taskset": "t", "task_id": "0"},
    task_data={"initial_count": 1, "expected_count": 2},
)
check_resources_session_contract(app, seed, keeps_state=True)
sys.stdout.write("conforms\n")

"""NeMo Gym's own agent and environment server, without its orchestration.

The whole configuration goes in by the environment, where NeMo Gym takes it as it is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx

from tests.whole.gym.home import Home, script
from tests.whole.servers import reserved_port, started

_READY_SECONDS = 120.0


@attrs.frozen
class Runner:
    """Something that plays rollouts: an agent, or an environment server with an agent behind it.

    Attributes:
        url: its address.
    """

    url: str

    def run(self, row: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Play a row and return its line in the rollouts file."""
        reply = httpx.post(f"{self.url}/run", json={**row, **more}, timeout=150)
        assert 200 == reply.status_code, reply.text
        rollout: dict[str, Any] = reply.json()
        return rollout


def outputs(rollout: Mapping[str, Any]) -> list[str]:
    """Return what the model was shown for its calls."""
    items = rollout["response"]["output"]
    return [item["output"] for item in items if item["type"] == "function_call_output"]


@contextmanager
def open_runners(gym: Home, folder: Path, resources_port: int, model_port: int) -> Iterator[list[Runner]]:
    """Run simple_agent and an environment server in front of it; yield the two.

    Args:
        gym: where NeMo Gym is.
        folder: for their logs.
        resources_port: the resources server's.
        model_port: the model's.
    """
    with reserved_port() as agent_port, reserved_port() as environment_port, reserved_port() as head_port:
        agent = {**_LOCAL, "port": agent_port, "resources_server": _RESOURCES, "model_server": _MODEL}
        environment = {
            **_LOCAL,
            "port": environment_port,
            "resources_server": _RESOURCES,
            "agent_server": {"type": "responses_api_agents", "name": "agent"},
            "resources_tool_transports": ["direct_http"],
            "cleanup_timeout_seconds": 60,
        }
        config = {
            **_around(head_port, resources_port, model_port),
            "agent": {"responses_api_agents": {"simple_agent": agent}},
            "environment": {"environment_servers": {"single_agent_turn_legacy": environment}},
        }
        with (
            _app(
                gym, folder, "agent", str(gym.packages / "responses_api_agents/simple_agent/app.py"), config
            ),
            _app(gym, folder, "environment", script("environment_server.py"), config),
        ):
            runners = [Runner(f"http://127.0.0.1:{port}") for port in (agent_port, environment_port)]
            for runner in runners:
                _wait_for(runner, folder)
            yield runners


@contextmanager
def open_gymnasium(
    gym: Home, folder: Path, resources_port: int, model_port: int, own: str, max_steps: int
) -> Iterator[tuple[Runner, str]]:
    """Run gymnasium_agent, and one of NeMo Gym's own servers for it; yield the agent and that server's URL.

    Args:
        gym: where NeMo Gym is.
        folder: for their logs.
        resources_port: that of the server which the agent asks.
        model_port: the model's.
        own: which of NeMo Gym's servers runs too.
        max_steps: the agent's.
    """
    with reserved_port() as agent_port, reserved_port() as own_port, reserved_port() as head_port:
        agent = {**_LOCAL, "port": agent_port, "resources_server": _RESOURCES, "model_server": _MODEL}
        agent["max_steps"] = max_steps
        config = {
            **_around(head_port, resources_port, model_port),
            "agent": {"responses_api_agents": {"gymnasium_agent": agent}},
            "theirs": {"resources_servers": {own: {**_LOCAL, "port": own_port, "domain": "other"}}},
        }
        apps = (
            gym.packages / "responses_api_agents/gymnasium_agent/app.py",
            gym.packages / f"resources_servers/{own}/app.py",
        )
        with (
            _app(gym, folder, "agent", str(apps[0]), config),
            _app(gym, folder, "theirs", str(apps[1]), config),
        ):
            runner, theirs = (Runner(f"http://127.0.0.1:{port}") for port in (agent_port, own_port))
            for each in (runner, theirs):
                _wait_for(each, folder)
            yield runner, theirs.url


_LOCAL: dict[str, Any] = {"entrypoint": "app.py", "host": "127.0.0.1"}
_RESOURCES = {"type": "resources_servers", "name": "resources"}
_MODEL = {"type": "responses_api_models", "name": "policy_model"}


def _around(head_port: int, resources_port: int, model_port: int) -> dict[str, Any]:
    """Return the configuration of what an agent does not run itself."""
    return {
        "head_server": {"host": "127.0.0.1", "port": head_port},
        "dry_run": False,
        "observability_enabled": True,
        "resources": {"resources_servers": {"own": {"host": "127.0.0.1", "port": resources_port}}},
        "policy_model": {"responses_api_models": {"own": {"host": "127.0.0.1", "port": model_port}}},
    }


@contextmanager
def _app(gym: Home, folder: Path, name: str, app: str, config: Mapping[str, Any]) -> Iterator[None]:
    environ = {"NEMO_GYM_CONFIG_DICT": json.dumps(config), "NEMO_GYM_CONFIG_PATH": name}
    with started([gym.python, app], folder / f"{name}.log", **environ):
        yield


def _wait_for(runner: Runner, folder: Path) -> None:
    """Wait until it answers anything at all."""
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            httpx.get(runner.url, timeout=5)
        except httpx.TransportError:
            logs = "\n".join(path.read_text() for path in folder.glob("*.log"))
            assert time.monotonic() < deadline, logs
            time.sleep(0.1)
        else:
            return

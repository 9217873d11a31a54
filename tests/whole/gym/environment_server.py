"""Runs in NeMo Gym's own environment: its environment server, without the Ray cluster that it would start.

It uses none: it only does not say so.
"""

from environment_servers.single_agent_turn_legacy.app import (  # pyright: ignore[reportMissingImports]  # elsewhere
    SingleAgentTurnLegacyEnvironmentServer,
)

SingleAgentTurnLegacyEnvironmentServer.ray_enabled = False
SingleAgentTurnLegacyEnvironmentServer.run_webserver()

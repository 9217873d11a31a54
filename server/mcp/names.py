"""Names of tools as they stand in the trajectories of MCP clients, and as verifiers know them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.shapes import is_dict, is_list


def bare_names(response: Mapping[str, Any], server: str) -> Mapping[str, Any]:
    """Return `response` with the calls of this server's tools under their bare names.

    Args:
        response: a trajectory, whatever is in it. It is not changed, and not copied further than necessary.
        server: the name that the seed's reply gave; other servers' tools keep theirs.
    """
    prefix = f"mcp__{server}__"
    output = response.get("output")
    if not is_list(output) or not any(_is_prefixed(item, prefix) for item in output):
        return response
    bare = [
        {**item, "name": item["name"].removeprefix(prefix)} if _is_prefixed(item, prefix) else item
        for item in output
    ]
    return {**response, "output": bare}


def _is_prefixed(item: Any, prefix: str) -> bool:
    if not is_dict(item) or item.get("type") != "function_call":
        return False
    name = item.get("name")
    return isinstance(name, str) and name.startswith(prefix)

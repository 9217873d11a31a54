"""The environments that ship. Each is one module and one class; none is imported before it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from server.environment import Environment

SHIPPED = {
    "workbench": "Workbench",
    "code_gen": "CodeGen",
    "math_with_code": "MathWithCode",
    "bigcodebench": "Bigcodebench",
    "text_to_sql": "TextToSql",
    "ns_tools": "NsTools",
    "equivalence_llm_judge": "EquivalenceLlmJudge",
    "string_match": "StringMatch",
    "mcqa": "Mcqa",
    "terminal": "Terminal",
    "example_session_state_mgmt": "ExampleSessionStateMgmt",
    "example_multi_step": "ExampleMultiStep",
    "example_multi_turn_gymnasium": "ExampleMultiTurnGymnasium",
}
"""Name, which is the module's here, to class."""


def load_shipped(name: str) -> type[Environment[Any]]:
    """Return the class of the shipped environment called `name`.

    Raises:
        KeyError: there is none of that name.
    """
    class_name = SHIPPED[name]
    return getattr(import_module(f"{__name__}.{name}"), class_name)  # type: ignore[no-any-return]  # by the table

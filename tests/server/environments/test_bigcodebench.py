"""BigCodeBench's rows: unittest classes that look at objects."""

from __future__ import annotations

from server.environments.bigcodebench import Bigcodebench
from tests.server.environments.conftest import Player

TEST = """
import unittest
import numpy as np
class TestCases(unittest.TestCase):
    def setUp(self):
        self.data = np.arange(4)
    def test_mean(self):
        self.assertIsInstance(task_func(self.data), np.ndarray)
        np.testing.assert_array_equal(task_func(self.data), self.data - 1.5)
    def test_empty(self):
        with self.assertRaises(ValueError):
            task_func(np.array([]))
"""
ROW = {
    "verifier_metadata": {
        "task_id": "BigCodeBench/0",
        "test": TEST,
        "entry_point": "task_func",
        "code_prompt": "import numpy as np\ndef task_func(data):",
    }
}


LOAD = "def task_func(data):\n    if not data.size: raise ValueError\n"
ANSWERS = [
    (f"{LOAD}    return data - data.mean()", 1.0, "pass"),
    ("def task_func(data):\n    return data - data.mean()", 0.0, "fail"),
    ("import os\nos._exit(0)", 0.0, "fail"),
    (f"np.testing.assert_array_equal = print\n{LOAD}    return data", 0.0, "fail"),
    (f"class A(np.ndarray):\n    __eq__ = lambda *a: True\n{LOAD}    return data.view(A)", 0.0, "fail"),
]


async def test_rows_have_known_rewards(player: Player) -> None:
    for text, reward, status in ANSWERS:
        played = await player.play(Bigcodebench(), ROW, text=f"```python\n{text}\n```")
        assert (reward, status) == (played.verdict.reward, played.verdict.fields["status"]), text
        assert "in_process" == played.verdict.fields["verification_mode"]
    for text, status in (("", "empty_output"), ("no idea", "no_code_block")):
        played = await player.play(Bigcodebench(), ROW, text=text)
        assert (0.0, status) == (played.verdict.reward, played.verdict.fields["status"])

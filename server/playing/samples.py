"""Rows of the shipped environments, each with its reference, where nobody brings any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_PROMPT = {"input": [{"role": "user", "content": "Do the task."}]}


def _row(**fields: Any) -> dict[str, Any]:
    return {"responses_create_params": _PROMPT, **fields}


def _counting(start: int, *steps: int) -> dict[str, Any]:
    words = ", then ".join([*(f"add {step}" for step in steps), "look at the counter"])
    calls: list[Any] = [["increment_counter", {"count": step}] for step in steps]
    return {
        "responses_create_params": {"input": [{"role": "user", "content": words}]},
        "initial_count": start,
        "expected_count": start + sum(steps),
        "oracle": {"calls": [*calls, ["get_counter_value", {}]]},
    }


_CODE_GEN = (
    _row(
        verifier_metadata={
            "unit_tests": {
                "inputs": ["4 a\n", "5 b\n", "12 xyz\n"],
                "outputs": ["8\nfirst 2.5\n", "10\nsecond 7.25\n", "24\nthird 0.125\n"],
            }
        },
        solution=(
            "number, _ = input().split()\nprint(int(number) * 2)\n"
            "print({'4': 'first 2.5', '5': 'second 7.25', '12': 'third 0.125'}[number])"
        ),
    ),
    _row(
        verifier_metadata={
            "test": (
                "def check(candidate):\n"
                "    assert candidate([3, 1, 2]) == [1, 2, 3]\n"
                "    assert candidate([]) == []\n"
                "    assert abs(mean(candidate([0.5, 0.25])) - 0.375) < 1e-6\n"
            ),
            "entry_point": "in_order",
            "prompt": (
                "def mean(xs):\n    return sum(xs) / len(xs)\n\n\n"
                "def in_order(xs):\n    '''Return xs in ascending order.'''\n"
            ),
        },
        canonical_solution="    return sorted(xs)\n",
    ),
    _row(
        verifier_metadata={
            "test": (
                "import math\nimport unittest\n\n\n"
                "class TestCases(unittest.TestCase):\n"
                "    def test_numbers(self):\n"
                "        self.assertEqual(spread([3, 1, 8]), 7)\n"
                "    def test_close(self):\n"
                "        expected = 0.375\n"
                "        self.assertTrue(math.isclose(spread([0.5, 0.125]), expected))\n"
                "    def test_types(self):\n"
                "        self.assertIsInstance(spread([1, 2]), int)\n"
            ),
            "entry_point": "spread",
            "code_prompt": "def spread(xs):",
        },
        canonical_solution="def spread(xs):\n    return max(xs) - min(xs)\n",
    ),
)

SAMPLES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "code_gen": _CODE_GEN,
    "workbench": (
        _row(
            files={"notes.txt": "two\none\n"},
            expected_files={"sorted.txt": "one\ntwo\nonly the server knows this line\n", "draft.txt": None},
        ),
    ),
    "math_with_code": (_row(expected_result="1764"),),
    "ns_tools": (_row(expected_answer="1764", question="What is 42 squared?"),),
    "string_match": (_row(expected_answer="Ouagadougou", oracle={"text": "Answer: Ouagadougou"}),),
    "mcqa": (
        _row(
            options=[{"A": "red"}, {"B": "green"}, {"C": "blue"}],
            expected_answer="B",
            grading_mode="strict_single_letter_boxed",
        ),
    ),
    "text_to_sql": (
        _row(
            sql="SELECT name FROM staff WHERE wage > 10 ORDER BY name",
            sql_context=(
                "CREATE TABLE staff (name TEXT, wage REAL);"
                "INSERT INTO staff VALUES ('Ada', 12.5), ('Bob', 9), ('Cyd', 11);"
            ),
            sql_prompt="Who earns more than 10?",
            oracle={"text": "```sql\nSELECT name FROM staff WHERE wage > 10 ORDER BY name\n```"},
        ),
    ),
    "terminal": (
        _row(
            files={
                "data/in.txt": "3\n1\n2\n",
                "tests/test_sorted.py": "def test_sorted():\n    assert False\n",
            },
            test_script='set -e\ncmp out.txt "$TESTS/expected.txt"\npython3 -I "$TESTS/check.py"\n',
            test_files={
                "expected.txt": "1\n2\n3\n",
                "check.py": (
                    "import json\nimport unittest\n\n\n"
                    "class Tests(unittest.TestCase):\n"
                    "    def test_sorted(self):\n"
                    "        read = [json.loads(line) for line in open('out.txt')]\n"
                    "        self.assertEqual(read, [1, 2, 3])\n\n\n"
                    "unittest.main()\n"
                ),
            },
            oracle={"calls": [["bash", {"command": "sort -n data/in.txt > out.txt"}]]},
        ),
        _row(
            test_script='set -e\nas_candidate sh square.sh < "$TESTS/in.txt" | cmp - "$TESTS/out.txt"\n',
            test_files={"in.txt": "1234321\n", "out.txt": "1523548331041\n"},
            oracle={"calls": [["bash", {"command": "echo 'read -r n; echo $((n * n))' > square.sh"}]]},
        ),
    ),
    "example_session_state_mgmt": tuple(
        _counting(start, *steps) for start, *steps in ((3, 1, 2), (0, 7), (10, -4, 4), (5, -5), (1, 1, 1))
    ),
    "example_multi_step": (
        _row(
            expected_synonym_values=[711, 407],
            minefield_label_value=5,
            oracle={"calls": [["extract_synonym_values", {"synonym_values": [711, 407]}]]},
        ),
    ),
}
"""Environment's name to rows."""

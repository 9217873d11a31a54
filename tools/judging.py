"""What a verifier's sandbox can be asked to do: roles that never share a process.

* **Program**: run a candidate program on some input; what it prints goes out through the lane's own pipes
  (`judging_program`).
* **Candidate**: hold a candidate's functions and call them with plain data (`judging_candidate`).
* **Judge**: run a data set's test, in which the candidate is only a proxy (`judging_test`).
* **Unittest**: run one test of a data set with the candidate in its own process, for tests that need its
  objects: the one role in which the two meet (`judging_unittest`).
* **Database**, **math** and **pattern**: read what must not be read on the server (`tools.database`,
  `judging_math`, `judging_pattern`).
* **Script**: run a hidden test script over the files that a session left (`judging_script`).

The server opens one sandbox for each role it needs and carries plain data between them. The judge's box never
sees the candidate's source; the candidate's box never sees the test, an expected value, or a path to either.
"""

from __future__ import annotations

PROGRAM = "program"
CANDIDATE = "candidate"
JUDGE = "judge"
UNITTEST = "unittest"
DATABASE = "database"
MATH = "math"
PATTERN = "pattern"
SCRIPT = "script"

ROLES = {
    "run_program": (PROGRAM, "tools.judging_program:run_program", True),
    "load_candidate": (CANDIDATE, "tools.judging_candidate:load_candidate", False),
    "call_candidate": (CANDIDATE, "tools.judging_candidate:call_candidate", False),
    "judge_start": (JUDGE, "tools.judging_test:judge_start", False),
    "run_unittest": (UNITTEST, "tools.judging_unittest:run_unittest", True),
    "run_sql": (DATABASE, "tools.database:run_sql", False),
    "read_database": (DATABASE, "tools.database:read_database", False),
    "math_equal": (MATH, "tools.judging_math:math_equal", False),
    "last_match": (PATTERN, "tools.judging_pattern:last_match", False),
    "run_script": (SCRIPT, "tools.judging_script:run_script", True),
    "judge_resume": (JUDGE, "tools.judging_test:judge_resume", False),
}
"""Handler name to its lane, its target, and whether what it prints belongs to the answer."""

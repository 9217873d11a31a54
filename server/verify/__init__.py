"""Verifiers: small classes and functions that judge what a dead session left behind.

* `programs`: standard input in, standard output out, case by case (`comparators` says what counts as equal).
* `functions`: a data set's own test, run where the candidate never was; the candidate is asked over plain
  data.
* `function_cases`: arguments and expected results as JSON.
* `files`: the final state against expected files.
* `boxed`, `extraction`: what a message answers.

Whatever runs code opens its own fresh sandboxes, from `boxes.VERIFIER` unless the environment has another
profile. The solution and what it is judged by are never in the same one.
"""

from __future__ import annotations

from server.verify.boxes import VERIFIER

__all__ = ["VERIFIER"]

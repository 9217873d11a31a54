"""Verdicts by a language model: over ``/v1/responses`` or ``/v1/chat/completions``.

Theory of operation
===================

::

    equivalence, rubric        what is asked, how often, and what the labels are worth
      └─ ballots               one question, N votes; which label the well-formed ones agree on
           ├─ prompts          the question as text: one substitution, the candidate's text in a data channel
           ├─ model            the call: deadlines, tries, a cap on calls at once
           └─ labels           what an answer says, or that it says nothing

**Whose failure.** A *call* that fails (no connection, a status that is no 2xx, a body that is no reply, no
time left) is ours: `JudgeFailedError`, and the rollout is masked as ``judge_failed``. An *answer* that cannot
be read, or says two things at once, is an answer: it does not earn the reward. What the candidate wrote is
bounded and tidied before it is sent, so that it cannot make a call fail.

**Against persuasion.** The candidate's text stands between two marks with a random word in them, labels are
taken out of it, and the judge is told that it is data. A judge that repeats what it read can so not repeat a
label that it did not give. None of this makes a language model incorruptible: let deterministic checks come
first, and a judge decide only what they cannot.
"""

from __future__ import annotations

"""``/aggregate_metrics``: from the verify replies of a run to its report, as NeMo Gym's own servers make it.

::

    verify replies ── masked ones aside ── tasks ──── mean, max, min, median, std     group_level_metrics
                                      │
                                      ├── all of them ── the same, and own ones       agent_metrics
                                      │                   └── the headlines           key_metrics
                                      └── repeats ── with errors and intervals        repeat_level_metrics

Keys and numbers are those of NeMo Gym 0.7 for the same input; `tests/whole/gym` holds them against its own
output. What an environment adds, it computes in three methods of its class; `server.aggregation.passes` has
what most need for that.
"""

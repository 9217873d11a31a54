"""The benchmark: what a session costs, beside what the same costs by other means on the same machine.

Figures of one machine say little about another, so everything is measured in one run, the probes take turns
(a round is one go at each), and what counts are ratios of medians.

`commands` are other ways to run Python, `http` is one client for all servers, `trivial` is the server to
compare with, `environments` what ours serves, `accounts` reads processor time and memory from /proc.
`probes` measure one thing once, `loads` many sessions at a time, `rounds` has them take turns, `report`
compares with the targets.
"""

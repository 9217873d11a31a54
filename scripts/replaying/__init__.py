"""Recorded rollouts of NeMo Gym's, played again: same rows, same calls, same response; the same reward?

`recording` reads the files, `player` plays one rollout over HTTP, `report` says what came of all, `__main__`
starts a server, unless it is given one, and has eight agents play.
"""

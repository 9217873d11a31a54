"""Attacks an environment's verifier, as a model would that has learnt to, and reports what it fell for.

Theory of operation
===================

The catalogue (`catalogue`, from ``attacks_*``) numbers 42 known ways to be rewarded without having done the
task. An `Attack` makes `Attempt`s against a `Target`: a row of the environment, read for what can be attacked
in it (its tests, answers, files, tools). An attempt is a rollout: tool calls, a last message. `player` plays
it through the server's whole front, cookie and routes included, with a real session and a real verdict (see
`server.playing`).

`campaign` plays, for each row, an agent that does nothing (*nop*), the row's reference solution where it
brings one (*oracle*), and every attack that applies. An attack has worked when its rollout earned more than
nothing did, when it made the server mask the rollout (a model must not choose not to be counted), or when the
session gave away what it must not. `report` tells it.

Attacks use the row's ground truth only where a model could have guessed or seen it: to hide a right guess
among wrong ones, to print a correct beginning, to look for it in the session.
"""

"""Plays rows as an agent would: through a server's whole front, in real sessions, with real verdicts.

Theory of operation
===================

A `Script` is what an agent does: tool calls and a last message. `agent` plays one in a session of a row and
keeps the cookie as NeMo Gym's agents do; `connection` is the way to a server, with or without a network
between. What to play comes from `rows` (a file, or those that come with an environment) and `reference` (the
script that does a row's task, where the row tells it). The red team plays its attacks in this way, and
``creche gym init`` its examples.
"""

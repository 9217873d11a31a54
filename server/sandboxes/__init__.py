"""Sandboxes to be had over HTTP, for whoever holds the server's token: ``/sandboxes``. Off unless it is set.

Theory of operation
===================

A sandbox is made, told to run things, and deleted, by a program that plays rollouts elsewhere; no environment
is involved and there is no verdict. `registry` keeps a task for each (`live`), which waits for a place among
`max_sessions`, opens the box, and ends it: when it is told to, when its time to live is over, or when it has
died. What happens inside is asked for by handlers of the far side that no model knows (`errands`). `routes`
parses and renders.

Everything has an end: each sandbox has a time to live, each command a deadline. A command is executed once,
however often it is sent: `server.sessions.exchanges`, as for tool calls.
"""

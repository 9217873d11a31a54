"""What a model can do: python, bash, files, and what an environment's author adds with `@tool`.

Theory of operation
===================

A tool is a plain function whose first parameter is ``state`` and whose others are what the model may say::

    @tool
    def book(state, title: str, day: int) -> str:
        '''Book a seat.'''

On the *server* a `Tool` answers what it looks like (`Tool.definition`, a function definition with a JSON
Schema) and what is wrong with given arguments (`Tool.problems`); `tools.shipping` turns it into the handler
that a sandbox profile takes. *Inside* a session a lane's process calls ``function(state, **arguments)`` and
nothing else of it is used: so decorating reads no annotation, and a tool whose annotations only make sense on
the server still loads.

``state`` is a dict that lives as long as the lane's process; the lane's tools share it. What a function
returns must be JSON. `Failed` says "the work was done and the outcome is an error, here is the value"; any
other exception is an error with a message. At a call's deadline the function sees ``KeyboardInterrupt``; what
it then tidies up within about a second is kept, and after that its process is killed.

Who runs where::

    registry (schema, shapes, docstring)           both sides: what a tool is, and what it takes
    python (cell, figures), bash (shell, anonymous), files, database
                                                   inside; their `Tool` objects are read on the server
    commands, transfer, variables                  inside: errands of the server's own, shown to no model
    judging                                        server only: the roles of verifiers' sandboxes
    judging_*                                      inside those; what each does stands in `judging`
    plain (plain_form, plain_reader, plain_writer) both sides: values on the way between such sandboxes
    shipping (source, usersource, literals)        server only: how tools get inside
    shipped                                        server only: the tools above, by name

Everything that is imported inside is standard library, and runs on Python 3.9 and later.
"""

from __future__ import annotations

from tools.registry import Failed, Tool, ToolError, tool

__all__ = ["Failed", "Tool", "ToolError", "tool"]

"""The tools over the Model Context Protocol: ``/mcp``, where the setting `mcp` is on.

Theory of operation
===================

The reply to a seed names the endpoint and a token (`tokens`). Whoever brings that token in the header
``X-NeMo-Gym-Session-Token`` can call the session's tools and nothing else: not verify, not close. It is of no
more use once the session is forgotten.

The protocol itself is the official library's (`endpoint`), in its stateless form with plain JSON replies:
every POST is answered by itself, whichever version of the protocol it speaks. A call goes the way of all
calls, through `routes.call_tool`; only its reply is wrapped differently.

A model that was given its tools this way names them ``mcp__<server>__<tool>`` in its trajectory. A verifier
reads the bare names (`names`), and the reply repeats what the model wrote.
"""

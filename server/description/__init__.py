"""What this server says of itself: ``/openapi.json`` for programs, ``/docs`` for people.

`replies` names the shapes that are answered, `document` puts them together with the environment's task class
and its tools' schemas, `page` renders the result. Nothing here serves a request of a rollout.
"""

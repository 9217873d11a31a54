"""HTTP: from bytes on a connection to a verb of the sessions, and back.

    connections (Hypercorn's) → front → hot_path for a rollout's requests, Quart (app) for everything else
        → routes → the registry of sessions

`front` is the outermost ASGI application: it strips the rollout prefix, and puts the cookie on every reply.
`hot_path` answers what is asked most often without the framework in between; `bodies` reads and bounds what
comes that way, `framework` what goes to Quart. A request's `Visit` holds what both need of it: cookie, names,
whether its client is still there. `wire`, `requests` and `steps` know JSON, `pieces` JSON of many megabytes,
`routes` says what each route means, and `operations` lists them once, for the application and for its
description.
"""

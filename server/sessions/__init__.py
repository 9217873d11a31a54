"""Sessions: from a row to a verdict, whoever asks and however often.

The registry has the verbs: seed, call, finish, close, describe. It owns one nursery, in which every
`LiveSession` runs as a task of its own with its sandbox in it; what a session shares with others is its
`Ground`. `records` remembers ended ones for replies that were lost, `exchanges` the last calls, `seeding`
finds or makes the session that a seed asks for, `preparing` has the environment fill it, `shares` bounds what
all of them leave behind, `verdicts` and `verification` bring about what one was worth once it is dead.
`stepping` plays a session by these verbs for agents that take steps, and `observing` asks the environment
what it says to one.

Requests come parsed and replies leave as bytes with a status (`server.http.requests` and `wire`); of
connections, cookies and paths nothing here knows.
"""

"""One thin layer per kernel facility: no policy here, only calls, constants and errors with a path or a name in them.

Used on both sides of the cage, so the standard library only, and Python 3.9.
"""

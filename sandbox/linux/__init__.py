"""One thin layer per kernel facility: no policy here, only calls, constants and errors that name a path.

Used on both sides of the cage, so the standard library only, and Python 3.9.
"""

"""What makes a server's life hard, and looks whether it shows: `scripts/soak`, and the tests in tests/whole.

* `scenarios` are the ways in which a session can be used and left: each plays one, over HTTP, and knows what
  the server has to answer.
* `soak` plays many of them at once, in a mix that a seed decides.
* `census` counts everything that a server holds. What there is after a soak must be what there was before.
* `kills` ends servers by SIGKILL in the middle of a soak.
* `overload` asks for far more sessions at once than there may be.
* `fuzz` sends requests that were made at random, out of `requests`.
"""

"""What runs on the far side of the pipes: the keeper that builds a cage, the zygote, init and the lanes.

Standard library only, Python 3.9 or later: a profile may name any interpreter. Nothing here may import the
server's half of the package; both halves share `sandbox.frames`, `sandbox.packets` and `sandbox.linux`.
"""

"""NeMo Gym itself, from PyPI, in a virtual environment of its own, against a real server."""

"""The tests: folders mirror the packages, and `whole` drives a real server by HTTP."""

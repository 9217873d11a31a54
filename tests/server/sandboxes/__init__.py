"""Sandboxes by themselves, below HTTP."""

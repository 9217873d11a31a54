"""A real server process, a real HTTP client."""

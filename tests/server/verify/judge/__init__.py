"""The judge, against an endpoint that misbehaves."""

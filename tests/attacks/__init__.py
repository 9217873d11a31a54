"""What hostile code tries against the sandbox, each attempt live: one test for a row of the catalogue."""

"""Playing rows as an agent would."""

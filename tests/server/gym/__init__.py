"""Being started by NeMo Gym."""

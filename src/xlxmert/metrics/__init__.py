"""Floor 2: scores as plain functions of what was predicted and what was expected; no model, no files."""

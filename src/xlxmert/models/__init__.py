"""Floor 2: one folder per family, each with its config, model and presets."""

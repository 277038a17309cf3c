"""Floor 0: what every other floor stands on (axes, errors, seeds, files)."""

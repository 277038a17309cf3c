"""Floor 3: one file per task: its loss, its prediction, its score."""

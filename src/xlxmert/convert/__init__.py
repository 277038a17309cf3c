"""Floor 3: checkpoints: the project's folder, and reversible name tables of published layouts."""

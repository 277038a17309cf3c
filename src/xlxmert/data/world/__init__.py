"""Floor 2: the built-in world: scenes, their pictures, captions, questions and statements, and the way back."""

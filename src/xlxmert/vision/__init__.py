"""Floor 2: pixels to visual tokens and back (backbone, regions, codebook, vocabulary)."""

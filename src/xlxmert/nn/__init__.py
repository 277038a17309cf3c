"""Floor 1: the bricks that every model family is built from (attention, blocks, embeddings, heads)."""

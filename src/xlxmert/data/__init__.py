"""Floor 2: records, the data sets' file formats, the built-in world, words, the store, masking and batches."""

"""Named sizes of XGPT, each beside the use it is for; docs/captioner.md has the formula of their parameter counts."""

import dataclasses

from xlxmert.models.xgpt.config import XgptConfig

PAPER = XgptConfig()
"""The base model (section 4.2): 12 layers of 768, 8 heads. With BERT's 30,522 words and features of 2,048 it has
134,961,978 trainable values, however often the decoder uses them."""

PAPER_TINY = dataclasses.replace(PAPER, layers=6)
"""The tiny model of table 3."""

WORLD = XgptConfig(
    vocabulary=1024,
    feature_width=512,
    width=192,
    heads=6,
    feed_forward=768,
    layers=4,
    refine_layers=2,
    dropout=0.0,
    attention_dropout=0.0,
    norm="before",
    grid_position="learned",
)
"""A captioner for one's own pictures, small enough to train on a CPU; vocabulary and feature_width are the data's to
fill. Norms stand before the sub-layers, which bears higher rates; no dropout, as in X-LXMERT's preset of that name."""

TINY = XgptConfig(
    vocabulary=200,
    max_text=32,
    feature_width=32,
    width=32,
    heads=2,
    feed_forward=64,
    layers=2,
    refine_layers=1,
)
"""A model for tests."""

PRESETS = {"xgpt": PAPER, "xgpt-tiny": PAPER_TINY, "xgpt-world": WORLD}
"""The presets by name, as recipes and the command line know them."""

"""Named sizes of LXMERT, each beside the number that it must reproduce or the use it is for."""

from xlxmert.models.lxmert.config import LxmertConfig

PAPER = LxmertConfig()
"""X-LXMERT as published: 226,525,800 trainable values (section C.1 says 226.5M) beside 10,000 frozen centroids."""

WORLD = LxmertConfig(
    vocabulary=1024,
    width=192,
    heads=6,
    feed_forward=768,
    language_layers=3,
    relation_layers=1,
    cross_layers=4,
    dropout=0.0,
    attention_dropout=0.0,
    max_text=64,
    feature_width=512,
    codes=1024,
    answers=256,
    code_head="both",
    code_input="both",
    grid_position="learned",
    norm="before",
    mask_start="normal",
)
"""A model for one's own pictures, small enough to train on a CPU; vocabulary, feature_width, codes and answers are the
data's to fill (``dataclasses.replace``). No dropout: on a CPU it makes a training step about a quarter longer."""

TINY = LxmertConfig(
    vocabulary=200,
    width=32,
    heads=2,
    feed_forward=64,
    language_layers=1,
    relation_layers=1,
    cross_layers=1,
    max_text=32,
    feature_width=32,
    codes=50,
    answers=17,
)
"""A model for tests: every part, about fifty thousand values."""

PRESETS = {"paper": PAPER, "world": WORLD, "tiny": TINY}
"""The presets by name, as recipes and the command line know them."""

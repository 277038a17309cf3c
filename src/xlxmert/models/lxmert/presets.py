"""Named sizes of LXMERT, each beside the number that it must reproduce or the use it is for."""

import dataclasses

from xlxmert.models.lxmert.config import LxmertConfig

PAPER = LxmertConfig()
"""X-LXMERT as published: 226,525,800 trainable values (section C.1 says 226.5M) beside 10,000 frozen centroids."""

LXMERT = LxmertConfig(codes=0, mask_start="fixed", regress=True, labels=1600, attributes=400)
"""LXMERT as its authors published it: 228,051,752 trainable values (X-LXMERT, section C.1, says 228M); it reads 36
regions with their boxes, and regresses their features and tells labels and attributes of those that are hidden."""

LXMERT_GRID = dataclasses.replace(LXMERT, attributes=0, mask_start="zeros", label_input="feature")
"""LXMERT as the authors of X-LXMERT built it again (section C.1: LXMERT*, and on grid features LXMERT*+Grid): labels
are read from the regressed features, attributes are left out."""

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

MINI = dataclasses.replace(
    WORLD,
    width=128,
    heads=4,
    feed_forward=512,
    language_layers=2,
    cross_layers=2,
    max_text=32,
    code_head="learned",
    code_input="centroids",
)
"""A third of that work for a step, and pictures may be read as their exact features: for questions about simple
pictures (`xlxmert.recipes.easy_vqa`)."""

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

PRESETS = {"paper": PAPER, "lxmert": LXMERT, "lxmert-grid": LXMERT_GRID, "world": WORLD, "mini": MINI, "tiny": TINY}
"""The presets by name, as recipes and the command line know them."""

"""Named sizes of the bottom-up top-down baseline, each beside the model or the use it is for."""

from xlxmert.models.butd.config import ButdConfig

PAPER = ButdConfig(codes=0, answers=3129)
"""The re-implementation (hengyuan-hu/bottom-up-attention-vqa: 63.67 % on VQA v2's validation questions, where it says
63.15 % for Teney et al. 2018) over the features of regions: 28,037,176 trainable values, of them 9,156,600 in the word
embeddings, here of BERT's word pieces. Questions are not cut at 14 words."""

WORLD = ButdConfig(vocabulary=1024, max_text=64, word_width=128, width=256, feature_width=512, codes=1024, answers=256)
"""For one's own pictures: 1,084,935 trainable values; what the data decide is theirs to fill (``dataclasses.replace``).
"""

TINY = ButdConfig(vocabulary=200, max_text=32, word_width=16, width=32, feature_width=32, codes=50, answers=17)
"""For tests: 15,480 trainable values, its sizes those of the other families' presets of that name."""

PRESETS = {"paper": PAPER, "world": WORLD, "tiny": TINY}
"""The presets by name."""

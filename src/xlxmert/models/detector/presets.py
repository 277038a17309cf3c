"""Named detectors, each beside the file that holds its weights."""

from xlxmert.models.detector.config import DetectorConfig

X152 = DetectorConfig()
"""ResNeXt-152 32x8d with a pyramid, ``detectron_model.pth``: 206.4 M values; X-LXMERT's grids (section 4.1)."""

R101 = DetectorConfig(
    layout="c4",
    groups=1,
    group_width=64,
    blocks=(3, 4, 23, 3),
    attributes=400,
    pooled=14,
    anchor_sizes=(64, 128, 256, 512),
    considered=6000,
    proposed=300,
    shortest=600,
    longest=1000,
)
"""ResNet-101 of bottom-up attention (arXiv:1707.07998), as detectron2 and the `transformers` research port read it:
65.5 M values; LXMERT's 36 boxes. ``attributes=0`` is ``faster_rcnn_from_caffe.pkl``."""

TINY = DetectorConfig(
    stem=4,
    width=8,
    groups=2,
    group_width=2,
    blocks=(1, 1, 1, 1),
    pyramid=8,
    hidden=8,
    mlp=12,
    labels=7,
    considered=40,
    proposed=50,
    shortest=128,
    longest=192,
)
"""For tests: the pyramid in miniature."""

TINY_C4 = DetectorConfig(
    layout="c4",
    stem=4,
    width=8,
    groups=1,
    group_width=4,
    blocks=(1, 1, 1, 1),
    hidden=8,
    labels=7,
    attributes=5,
    pooled=4,
    anchor_sizes=(16, 32),
    considered=200,
    proposed=40,
    shortest=96,
    longest=160,
)
"""For tests: the single map in miniature."""

PRESETS = {"x152": X152, "r101": R101, "tiny": TINY, "tiny-c4": TINY_C4}
"""The detectors by name."""

"""The formulas of cost against what PyTorch counts of the same models, at full size and without memory."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from xlxmert.models.cost import (
    code_head_flops,
    encoder_flops,
    object_head_flops,
    pooled_flops,
    word_head_flops,
)
from xlxmert.models.families import PRESETS, build

BATCH, WORDS = 3, 20


@pytest.mark.parametrize("name", ["x-lxmert", "lxmert", "lxmert-grid", "x-uniter", "world", "uniter-world", "tiny"])
def test_operations_are_those_that_pytorch_counts(name: str) -> None:
    config = PRESETS[name]
    cells = 36 if name == "lxmert" else config.cells
    with torch.device("meta"):
        model = build(config).train()
        words = torch.ones(BATCH, WORDS, dtype=torch.long)
        picture = torch.zeros(BATCH, cells, dtype=torch.long) if config.codes else None
        features = torch.zeros(BATCH, cells, config.feature_width)
        boxes, asked = torch.zeros(BATCH, cells, 4), torch.zeros(7, config.width)

    def count(run: object) -> int:
        with FlopCounterMode(display=False) as counter:
            run()  # type: ignore[operator]
        return int(counter.get_total_flops())

    def encode(side: str) -> None:
        language = model.encode_words(words, words > 0)
        vision = model.encode_picture(features if picture is None else picture, boxes)
        both = {"words": model.cross_words, "picture": model.cross_picture}.get(side)
        both(language, vision, words > 0) if both else model.cross(language, vision, words > 0)

    pooler = BATCH * 2 * config.width**2  # `cross` ends in it
    for side in ("words", "picture", "both"):
        expected = BATCH * encoder_flops(config, WORDS, cells, side)  # type: ignore[arg-type]
        with_pooler = side == "both" or "uniter" in name
        assert count(lambda side=side: encode(side)) == expected + pooler * with_pooler, side
    assert count(lambda: model.word_logits(asked)) == word_head_flops(config, 7)
    if config.codes:
        assert count(lambda: model.code_logits(asked)) == code_head_flops(config, 7)
    if config.regress:
        heads = [model.predicted_features, model.label_logits, *([model.attribute_logits] if config.attributes else [])]
        assert sum(count(lambda head=head: head(asked)) for head in heads) == object_head_flops(config, 7)
    answered = count(lambda: model.answer_logits(asked)) / 7
    assert pooled_flops(config, 1.0) == pooler / BATCH + 4 * config.width + answered

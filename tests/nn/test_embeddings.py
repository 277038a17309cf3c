"""Embeddings: equation 1 of LXMERT, the learned mask, and where the grid's cells lie."""

import pytest
import torch
from torch import nn

from xlxmert.core.errors import XlxmertError
from xlxmert.core.seeds import torch_generator
from xlxmert.nn.embeddings import (
    CodeContent,
    FeatureContent,
    VisualEmbeddings,
    WordEmbeddings,
    grid_boxes,
    to_compute_dtype,
)


def draw(*shape: int, name: str = "x") -> torch.Tensor:
    return torch.randn(*shape, generator=torch_generator("embeddings", name))


def norm(x: torch.Tensor) -> torch.Tensor:
    return nn.functional.layer_norm(x, (x.shape[-1],), eps=1e-12)


def test_words_are_the_norm_of_word_position_and_type() -> None:
    torch.manual_seed(0)
    embed = WordEmbeddings(50, 16, 10, 2)
    words = torch.tensor([[3, 7, 0]])
    expected = norm(embed.word.weight[[3, 7, 0]] + embed.position.weight[:3] + embed.token_type.weight[0])
    torch.testing.assert_close(embed(words)[0], expected)
    kinds = torch.tensor([[0, 1, 1]])
    expected = norm(embed.word.weight[[3, 7, 0]] + embed.position.weight[:3] + embed.token_type.weight[[0, 1, 1]])
    torch.testing.assert_close(embed(words, kinds)[0], expected)


def test_a_text_longer_than_the_position_table_is_refused() -> None:
    with pytest.raises(XlxmertError, match=r"at most 4 tokens \(found 5\)"):
        WordEmbeddings(50, 16, 4, 2)(torch.ones(1, 5, dtype=torch.long))


def test_grid_boxes_are_row_major_and_tile_the_picture() -> None:
    boxes = grid_boxes(8)
    assert boxes.shape == (64, 4)
    for i in range(8):
        for j in range(8):
            assert boxes[8 * i + j].tolist() == [j / 8, i / 8, (j + 1) / 8, (i + 1) / 8]


def test_visual_tokens_average_the_norms_of_content_and_box() -> None:
    torch.manual_seed(0)
    embed = VisualEmbeddings(FeatureContent(6, 16), None, 16)
    features, boxes = draw(2, 4, 6), grid_boxes(2)[None]
    assert embed.features is not None
    expected = (norm(embed.features.linear(features)) + norm(embed.box(boxes))) / 2
    torch.testing.assert_close(embed(features, None, boxes), expected)
    torch.testing.assert_close(embed(features, None, boxes.expand(2, 4, 4)), expected)


def test_hidden_cells_show_the_mask_feature_in_place_of_their_own() -> None:
    torch.manual_seed(0)
    content = FeatureContent(6, 16)
    features, hidden = draw(2, 4, 6), torch.tensor([[True, False, False, True], [False] * 4])
    assert (content.mask == 0).all()
    nn.init.normal_(content.mask)
    torch.testing.assert_close(
        content(features, hidden), content.linear(torch.where(hidden[..., None], content.mask, features))
    )


def test_codes_enter_through_a_table_and_add_to_the_features() -> None:
    torch.manual_seed(0)
    embed = VisualEmbeddings(FeatureContent(6, 16), CodeContent(9, 16), 16, places=4)
    features, codes, boxes = draw(1, 4, 6), torch.tensor([[8, 0, 3, 3]]), grid_boxes(2)[None]
    hidden = torch.tensor([[False, True, False, False]])
    assert embed.features is not None and embed.codes is not None and embed.places is not None
    table = torch.where(hidden[..., None], embed.codes.mask, embed.codes.table.weight[codes])
    content = embed.features(features, hidden) + table
    expected = (norm(content) + norm(embed.box(boxes) + embed.places)) / 2
    torch.testing.assert_close(embed(features, codes, boxes, hidden), expected)


def test_learned_places_refuse_another_number_of_cells() -> None:
    embed = VisualEmbeddings(FeatureContent(6, 16), None, 16, places=4)
    with pytest.raises(XlxmertError, match=r"4 visual tokens \(found 9\)"):
        embed(draw(1, 9, 6), None, grid_boxes(3)[None])


def test_autocast_decides_the_type_of_the_stream() -> None:
    x = torch.ones(2)
    assert to_compute_dtype(x) is x
    with torch.autocast("cpu", torch.bfloat16):
        assert to_compute_dtype(x).dtype == torch.bfloat16

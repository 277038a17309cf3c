"""Heads: what they compute, and that they take any leading shape."""

import pytest
import torch
from torch import nn

from xlxmert.core.seeds import torch_generator
from xlxmert.nn.heads import AnswerHead, CentroidHead, CodeHead, Pooler, Transform, WordHead


def draw(*shape: int, name: str = "x") -> torch.Tensor:
    return torch.randn(*shape, generator=torch_generator("heads", name))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_a_transform_is_linear_gelu_norm() -> None:
    transform = Transform(8)
    x = draw(3, 8)
    torch.testing.assert_close(
        transform(x), nn.functional.layer_norm(nn.functional.gelu(transform.linear(x)), (8,), eps=1e-12)
    )


def test_word_scores_are_dot_products_with_the_embeddings_plus_a_bias() -> None:
    head, table = WordHead(8, 20), draw(20, 8, name="table")
    nn.init.normal_(head.bias)
    x = draw(2, 3, 8)
    torch.testing.assert_close(head(x, table), head.transform(x) @ table.T + head.bias)


def test_code_scores_are_dot_products_of_a_predicted_feature_with_the_centroids() -> None:
    head, centroids = CentroidHead(8, 6, 11), draw(11, 6, name="centroids")
    nn.init.normal_(head.bias)
    x = draw(5, 8)
    assert head.features(x).shape == (5, 6)
    torch.testing.assert_close(head(x, centroids), head.features(x) @ centroids.T + head.bias)


def test_selected_positions_score_as_in_the_whole() -> None:
    x = draw(2, 5, 8)
    chosen = torch.tensor([[True, False, True, False, False], [False, True, False, False, True]])
    for head in (AnswerHead(8, 7), Transform(8)):
        torch.testing.assert_close(head(x[chosen]), head(x)[chosen])
    for head in (CodeHead(8, 11), CodeHead(8, 11, 6)):
        centroids = draw(11, 6, name="centroids")
        torch.testing.assert_close(head(x[chosen], centroids), head(x, centroids)[chosen])


def test_the_answer_head_is_twice_as_wide_inside() -> None:
    head = AnswerHead(8, 7)
    assert head.transform.linear.weight.shape == (16, 8)
    assert head(draw(3, 8)).shape == (3, 7)


def test_the_pooler_reads_the_first_token_only() -> None:
    pooler, x = Pooler(8), draw(2, 5, 8)
    torch.testing.assert_close(pooler(x), torch.tanh(pooler.linear(x[:, 0])))


@pytest.mark.parametrize(
    "head", [CentroidHead(8, 6, 5), CodeHead(8, 5), CodeHead(8, 5, 6)], ids=["centroids", "learned", "both"]
)
def test_a_folded_head_gives_the_same_logits(head: CentroidHead | CodeHead) -> None:
    for weight in head.parameters():
        torch.nn.init.normal_(weight)
    x, centroids = torch.randn(2, 3, 8), torch.randn(5, 6)
    torch.testing.assert_close(head.folded(centroids)(x), head(x, centroids), rtol=1e-5, atol=1e-4)

"""Which draft fits its words best, by the model's own heads; codes are judged as they are, before any pixel."""

import torch

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.models.base import Transformer
from xlxmert.sampling.words import WordIds, pseudo_log_likelihood
from xlxmert.studio.networks import WritingNetwork


def agreement(
    model: Transformer, words: Int[Tensor, "B T"], codes: Int[Tensor, "B N"], ids: WordIds, likelihood: float = 0.0
) -> Float[Tensor, " B"]:
    """How well each picture fits its sentence; comparable between pictures of one sentence.

    The matching head's log-odds (X-LXMERT section 3.2, image-text matching), plus ``likelihood`` times the mean
    log-probability of the sentence's words, each given all others and the picture.

    Args:
        model: the transformer.
        words: sentences as token ids, 0 where padded.
        codes: a picture for each.
        ids: the tokens that frame a sentence.
        likelihood: weight of the second part; with 0 it is not computed.
    """
    mask, vision = words > 0, model.encode_picture(codes)  # (B, T), (B, N, D)
    pooled = model.pooler(model.cross_words(model.encode_words(words, mask), vision, mask))  # (B, D)
    logits = model.matching_logits(pooled).float()  # (B, 2)
    odds: Tensor = logits[:, 1] - logits[:, 0]
    if likelihood:
        odds = odds + likelihood * pseudo_log_likelihood(WritingNetwork(model, vision), words, ids)
    return odds


def best_rows(scores: Float[Tensor, " P"], count: int) -> Int[Tensor, " B"]:
    """The row of the highest among every ``count`` scores; the first of equal ones."""
    return scores.view(-1, count).argmax(dim=1) + count * torch.arange(len(scores) // count, device=scores.device)

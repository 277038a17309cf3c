"""The losses of pre-training: what nobody asks for is not computed, neither a side of the last layer nor a score."""

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.data.batch import Asked, Batch
from xlxmert.models.base import Transformer

Scored = tuple[Tensor, Tensor]
"""A loss and, beside it, an accuracy in [0, 1] or another scalar worth a curve."""


class PretrainTurn(nn.Module):
    """All losses that a batch asks for, with equal weights (LXMERT, section 3.3)."""

    log_weights: Tensor

    def __init__(
        self, model: Transformer, log_weights: Float[Tensor, " K"], targets: tuple[str, ...], read_features: bool
    ) -> None:
        """Take the model, the logarithms of the codes' weights, what is predicted of hidden tokens, and what is read.

        Args:
            model: the transformer.
            log_weights: see `code_loss`; empty without codes.
            targets: some of ``codes``, ``features``, ``labels``, ``attributes``.
            read_features: pictures are read as features instead of codes.
        """
        super().__init__()
        self.model, self.targets, self.read_features = model, targets, read_features
        self.register_buffer("log_weights", log_weights, persistent=False)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """``loss`` is the sum of the others; accuracies are in [0, 1]."""
        picture = batch.features if self.read_features else batch.codes
        assert picture is not None
        mask = batch.words > 0
        language = self.model.encode_words(batch.words, mask)  # (B, T, D)
        vision = self.model.encode_picture(picture, batch.boxes, batch.hidden)  # (B, N, D)
        whole = batch.all_asked  # what is computed does not depend on the part, so that all processes do the same
        told = whole.words or whole.matched or whole.questions
        if not whole.tokens:
            losses = self._told(self.model.cross_words(language, vision, mask), whole, batch)
        elif not told:
            losses = self._seen(self.model.cross_picture(language, vision, mask), whole, batch)
        else:
            both = self.model.cross(language, vision, mask)
            losses = self._seen(both.vision, whole, batch) | self._told(both.language, whole, batch)
        terms = {name: loss for name, (loss, _) in losses.items()}
        scores = {f"{name}_right": score for name, (_, score) in losses.items()}
        nothing = language.float().sum() * 0  # a batch may ask for nothing
        return {"loss": torch.stack([*terms.values(), nothing]).sum(), **terms, **scores}

    def _seen(self, vision: Float[Tensor, "B N D"], whole: Asked, batch: Batch) -> dict[str, Scored]:
        """The losses of the visual tokens that are asked."""
        states = vision[batch.asked]  # (tokens asked, D)
        return {name: self._visual(name, states, whole, batch) for name in self.targets}

    def _told(self, language: Float[Tensor, "B T D"], whole: Asked, batch: Batch) -> dict[str, Scored]:
        """The losses of words, matching and answers, as far as they are asked."""
        losses: dict[str, Scored] = {}
        masked, asked, questions = batch.word_labels >= 0, batch.matched >= 0, batch.questions
        if whole.words:
            logits = self.model.word_logits(language[masked])  # (masked words, V)
            losses["words"] = classify(logits, batch.word_labels[masked], whole.words)
        if not (whole.matched or whole.questions):
            return losses
        pooled = self.model.pooler(language)  # (B, D)
        if whole.matched:
            logits = self.model.matching_logits(pooled[asked])
            losses["match"] = classify(logits, batch.matched[asked], whole.matched)
        if whole.questions:
            logits = self.model.answer_logits(pooled[questions])
            losses["answers"] = answer_loss(logits, batch.answers[questions], whole.questions)
        return losses

    def _visual(self, name: str, states: Float[Tensor, "M D"], whole: Asked, batch: Batch) -> Scored:
        """The loss of one visual target at the tokens that are asked."""
        asked = batch.asked
        if name == "codes":
            assert batch.codes is not None and batch.code_weights is not None
            logits = self.model.code_logits(states)  # (tokens asked, K)
            weights = batch.code_weights[asked]
            return code_loss(logits, batch.codes[asked], weights, self.log_weights, whole.tokens, whole.weight)
        if name == "features":
            assert batch.features is not None
            return feature_loss(self.model.predicted_features(states), batch.features[asked], whole.tokens)
        if name == "labels":
            assert batch.labels is not None
            return classify(self.model.label_logits(states), batch.labels[asked], whole.tokens)
        assert batch.attributes is not None
        return classify(self.model.attribute_logits(states), batch.attributes[asked], whole.tokens)


def classify(logits: Float[Tensor, "M C"], labels: Int[Tensor, " M"], count: int | None = None) -> Scored:
    """Mean cross-entropy and accuracy; as every loss here, a part of those of ``count`` rows, by default of these."""
    logits, count = logits.float(), count or len(labels)
    right = (logits.argmax(-1) == labels).float().sum()
    return F.cross_entropy(logits, labels, reduction="sum") / count, right / count


def feature_loss(predicted: Float[Tensor, "M F"], features: Float[Tensor, "M F"], count: int | None = None) -> Scored:
    """The mean squared error over features and their values (LXMERT, section 3.1.2: L2 loss), and the mean cosine."""
    predicted, count = predicted.float(), count or len(features)
    errors = F.mse_loss(predicted, features, reduction="sum") / (count * features.shape[1])
    return errors, F.cosine_similarity(predicted, features).sum() / count


def code_weights(counts: Float[Tensor, " K"], balance: float) -> Float[Tensor, " K"]:
    """Each code's weight: its count in the data to minus ``balance``; the mean over all cells is 1."""
    weights = (counts + 1).pow(-balance)
    return weights * counts.sum() / (weights * counts).sum()


def code_loss(
    logits: Float[Tensor, "M K"],
    codes: Int[Tensor, " M"],
    cells: Float[Tensor, " M"],
    log_weights: Float[Tensor, " K"],
    count: int | None = None,
    weight: float | None = None,
) -> Scored:
    """Cross-entropy over codes, each cell with its weight, and the plain accuracy over the cells asked.

    Weights alone would make heavy codes look too likely, by just their weight. Scores are therefore raised by the
    logarithm of the codes' weights inside the loss (and only there): the best scores are then the data's own chances.

    Args:
        logits: scores of all codes at the cells that are asked.
        codes: the true ones.
        cells: their weights.
        log_weights: of all codes.
        count: cells of the whole batch, by default these.
        weight: the sum of their weights, by default of these.
    """
    logits = logits.float()
    losses = F.cross_entropy(logits + log_weights, codes, reduction="none")
    right = (logits.argmax(-1) == codes).float().sum()
    return (losses * cells).sum() / (cells.sum() if weight is None else weight), right / (count or len(codes))


def answer_loss(logits: Float[Tensor, "M A"], targets: Float[Tensor, "M A"], count: int | None = None) -> Scored:
    """Cross-entropy against soft answers brought to sum 1, and the soft accuracy of the best answer.

    The expectation of the reference's rule, which draws one answer of each question in proportion to its score.
    """
    logits, count = logits.float(), count or len(targets)
    shares = targets / targets.sum(1, keepdim=True)
    loss = -(shares * logits.log_softmax(-1)).sum() / count
    return loss, targets.gather(1, logits.argmax(-1, keepdim=True)).sum() / count

"""The losses of pre-training: heads run only on the positions that a batch asks for."""

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.data.batch import Batch
from xlxmert.models.base import Transformer
from xlxmert.models.outputs import Encoded

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
        output = self.model(batch.words, picture, batch.boxes, batch.hidden)
        terms: dict[str, Tensor] = {}
        scores: dict[str, Tensor] = {}
        if bool(batch.asked.any()):
            for name in self.targets:
                terms[name], scores[f"{name}_right"] = self._visual(name, output, batch)
        masked, asked = batch.word_labels >= 0, batch.matched >= 0
        if bool(masked.any()):
            logits = self.model.word_logits(output.language[masked])  # (masked words, V)
            terms["words"], scores["words_right"] = classify(logits, batch.word_labels[masked])
        if bool(asked.any()):
            logits = self.model.matching_logits(output.pooled[asked])
            terms["match"], scores["match_right"] = classify(logits, batch.matched[asked])
        questions = (batch.answers.sum(1) > 0) & (batch.matched != 0)
        if bool(questions.any()):
            logits = self.model.answer_logits(output.pooled[questions])
            terms["answers"], scores["answers_right"] = answer_loss(logits, batch.answers[questions])
        nothing = output.pooled.float().sum() * 0  # a batch may ask for nothing
        return {"loss": torch.stack([*terms.values(), nothing]).sum(), **terms, **scores}

    def _visual(self, name: str, output: Encoded, batch: Batch) -> Scored:
        """The loss of one visual target at the tokens that are asked."""
        asked = batch.asked
        states = output.vision[asked]  # (tokens asked, D)
        if name == "codes":
            assert batch.codes is not None and batch.code_weights is not None
            logits = self.model.code_logits(states)  # (tokens asked, K)
            return code_loss(logits, batch.codes[asked], batch.code_weights[asked], self.log_weights)
        if name == "features":
            assert batch.features is not None
            return feature_loss(self.model.predicted_features(states), batch.features[asked])
        if name == "labels":
            assert batch.labels is not None
            return classify(self.model.label_logits(states), batch.labels[asked])
        assert batch.attributes is not None
        return classify(self.model.attribute_logits(states), batch.attributes[asked])


def classify(logits: Float[Tensor, "M C"], labels: Int[Tensor, " M"]) -> Scored:
    """Mean cross-entropy and accuracy."""
    logits = logits.float()
    return F.cross_entropy(logits, labels), (logits.argmax(-1) == labels).float().mean()


def feature_loss(predicted: Float[Tensor, "M F"], features: Float[Tensor, "M F"]) -> Scored:
    """The mean squared error over features and their values (LXMERT, section 3.1.2: L2 loss), and the mean cosine."""
    predicted = predicted.float()
    return F.mse_loss(predicted, features), F.cosine_similarity(predicted, features).mean()


def code_weights(counts: Float[Tensor, " K"], balance: float) -> Float[Tensor, " K"]:
    """Each code's weight: its count in the data to minus ``balance``; the mean over all cells is 1."""
    weights = (counts + 1).pow(-balance)
    return weights * counts.sum() / (weights * counts).sum()


def code_loss(
    logits: Float[Tensor, "M K"],
    codes: Int[Tensor, " M"],
    cells: Float[Tensor, " M"],
    log_weights: Float[Tensor, " K"],
) -> Scored:
    """Cross-entropy over codes, each cell with its weight, and the plain accuracy over the cells asked.

    Weights alone would make heavy codes look too likely, by just their weight. Scores are therefore raised by the
    logarithm of the codes' weights inside the loss (and only there): the best scores are then the data's own chances.
    """
    logits = logits.float()
    losses = F.cross_entropy(logits + log_weights, codes, reduction="none")
    return (losses * cells).sum() / cells.sum(), (logits.argmax(-1) == codes).float().mean()


def answer_loss(logits: Float[Tensor, "M A"], targets: Float[Tensor, "M A"]) -> Scored:
    """Cross-entropy against soft answers brought to sum 1, and the soft accuracy of the best answer.

    The expectation of the reference's rule, which draws one answer of each question in proportion to its score.
    """
    logits = logits.float()
    shares = targets / targets.sum(1, keepdim=True)
    loss = -(shares * logits.log_softmax(-1)).sum(1).mean()
    return loss, targets.gather(1, logits.argmax(-1, keepdim=True)).mean()

"""Bottom-up top-down attention: a question looks once at a picture's regions, and both make one vector.

The reference row of the tables (LXMERT table 3: LSTM + BUTD); no region knows its place or its neighbours. Tasks take
it in place of a transformer: it is called alike and gives a pooled vector, from which its heads answer.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.models.butd.config import ButdConfig, NonlinearityKind
from xlxmert.models.common import CommonModel
from xlxmert.models.outputs import Pooled
from xlxmert.nn.heads import PairHead


class Nonlinear(nn.Module):
    """The non-linear layer that everything here is made of.

    ``gated_tanh``: ``tanh(Wx + b) * sigmoid(W'x + b')`` (Anderson et al. 2018, section 3.3). ``relu``: ``ReLU(Wx + b)``
    with W as a learned length times a direction (Salimans and Kingma 2016), the length one number for the whole matrix.
    """

    def __init__(self, width: int, out: int, kind: NonlinearityKind):
        """Build ``width`` → ``out``."""
        super().__init__()
        self.linear = _linear(width, out, kind)
        self.gate = nn.Linear(width, out) if kind == "gated_tanh" else None

    def forward(self, x: Float[Tensor, "*any I"]) -> Float[Tensor, "*any O"]:
        """Transform every vector on its own."""
        y: Tensor = self.linear(x)
        return F.relu(y) if self.gate is None else torch.tanh(y) * torch.sigmoid(self.gate(x))


class QuestionEncoder(nn.Module):
    """Word embeddings and a GRU, of which the state after the last word is kept (Anderson et al. 2018, section 3.3)."""

    def __init__(self, vocabulary: int, word_width: int, width: int):
        """Build with random embeddings of a spread of 1; row 0, padding, is zeros."""
        super().__init__()
        self.word = nn.Embedding(vocabulary, word_width, padding_idx=0)
        self.gru = nn.GRU(word_width, width, batch_first=True)

    def forward(self, words: Int[Tensor, "B T"], seen: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
        """The state after the words that are ``seen``, the others left out; zeros where there are none.

        They move to the front in their order, so that what follows them cannot reach the state that is kept.
        """
        front = (~seen).int().argsort(dim=1, stable=True)  # (B, T)
        states, _ = self.gru(self.word(words.gather(1, front)))  # (B, T, D)
        lengths = seen.sum(1)  # (B)
        last = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, states.shape[2])  # (B, 1, D)
        state: Tensor = states.gather(1, last)[:, 0]  # (B, D)
        return state.masked_fill(lengths[:, None] == 0, 0)


class ConcatenatedScores(nn.Module):
    """``w f([v; q])``: one layer over each region beside the question (Anderson et al. 2018, section 3.3).

    Scores need no bias: the softmax over them would not see it.
    """

    def __init__(self, config: ButdConfig):
        """Build for the config's sizes."""
        super().__init__()
        self.both = Nonlinear(config.feature_width + config.width, config.width, config.nonlinearity)
        self.dropout = nn.Dropout(config.attention_dropout)
        self.score = _linear(config.width, 1, config.nonlinearity, bias=False)

    def forward(self, regions: Float[Tensor, "B N F"], question: Float[Tensor, "B D"]) -> Float[Tensor, "B N"]:
        """The score of every region."""
        beside = question[:, None].expand(-1, regions.shape[1], -1)  # (B, N, D)
        both = self.both(torch.cat([regions, beside.to(regions)], -1))  # (B, N, D)
        return self.score(self.dropout(both))[..., 0]  # type: ignore[no-any-return]  # (B, N)


class MultipliedScores(nn.Module):
    """``w (f(v) * g(q))``: a layer for each side, then their product (the re-implementation's ``NewAttention``).

    Its bias of the scores is left out: the softmax over them would not see it.
    """

    def __init__(self, config: ButdConfig):
        """Build for the config's sizes."""
        super().__init__()
        self.region = Nonlinear(config.feature_width, config.width, config.nonlinearity)
        self.question = Nonlinear(config.width, config.width, config.nonlinearity)
        self.dropout = nn.Dropout(config.attention_dropout)
        self.score = _linear(config.width, 1, config.nonlinearity, bias=False)

    def forward(self, regions: Float[Tensor, "B N F"], question: Float[Tensor, "B D"]) -> Float[Tensor, "B N"]:
        """The score of every region."""
        both = self.region(regions) * self.question(question)[:, None]  # (B, N, D)
        return self.score(self.dropout(both))[..., 0]  # type: ignore[no-any-return]  # (B, N)


class AnswerNet(nn.Module):
    """The classifier over answers: one layer to ``2D``, dropout, a linear map (Anderson et al. 2018, section 3.3)."""

    def __init__(self, config: ButdConfig):
        """Build for the config's list of answers."""
        super().__init__()
        self.inner = Nonlinear(config.width, 2 * config.width, config.nonlinearity)
        self.dropout = nn.Dropout(config.dropout)
        self.linear = _linear(2 * config.width, config.answers, config.nonlinearity)

    def forward(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any A"]:
        """Answer logits."""
        return self.linear(self.dropout(self.inner(x)))  # type: ignore[no-any-return]


class Butd(CommonModel):
    """The VQA model of Anderson et al. (2018, section 3.3) and Teney et al. (2018), with heads for answers and pairs.

    Weights start as torch draws them, as in the re-implementation.
    """

    config: ButdConfig

    def __init__(self, config: ButdConfig):
        """Build with random weights and an empty codebook."""
        super().__init__()
        self.config = config
        width, kind = config.width, config.nonlinearity
        self.question = QuestionEncoder(config.vocabulary, config.word_width, width)
        self.scores = (MultipliedScores if config.attention == "multiply" else ConcatenatedScores)(config)
        self.joint_question = Nonlinear(width, width, kind)
        self.joint_picture = Nonlinear(config.feature_width, width, kind)
        self.answer_head = AnswerNet(config) if config.answers else None
        self.pair_head = PairHead(width) if config.pairs else None
        self.register_buffer("centroids", torch.zeros(config.codes, config.feature_width) if config.codes else None)

    def forward(
        self,
        words: Int[Tensor, "B T"],
        picture: Int[Tensor, "B N"] | Float[Tensor, "B N F"],
        boxes: Float[Tensor, "B N 4"] | None = None,
        hidden: Bool[Tensor, "B N"] | None = None,
        word_mask: Bool[Tensor, "B T"] | None = None,
    ) -> Pooled:
        """Look at the picture once, as the question asks.

        Args:
            words: ``[CLS] w .. [SEP]`` ids, 0 where padded.
            picture: codes or features.
            boxes: x0 y0 x1 y1 in [0, 1]; the model does not read them, but without them the regions must be the grid's.
            hidden: True at regions that get no attention: hidden ones, or the padding of pictures with fewer regions.
            word_mask: True at words that may be seen, by default ``words > 0``.

        Raises:
            XlxmertError: a text is too long, or the model cannot read this kind or size of picture.
        """
        self._check_text(words)
        regions = self._regions(picture, boxes is None)  # (B, N, F)
        question = self.question(words, words > 0 if word_mask is None else word_mask)  # (B, D)
        attention = _shares(self.scores(regions, question), hidden)  # (B, N)
        seen = (attention[:, None].to(regions) @ regions)[:, 0]  # (B, F)
        return Pooled(attention, self.joint_question(question) * self.joint_picture(seen))

    @torch.no_grad()
    def load_words(self, vectors: Float[Tensor, "V E"]) -> None:
        """Start the word embeddings from given vectors, such as GloVe's; they are trained on, padding stays zeros.

        Raises:
            XlxmertError: there are not as many, or they have another width.
        """
        mine = self.question.word.weight
        if mine.shape != vectors.shape:
            raise XlxmertError(
                f"word vectors must be {tuple(mine.shape)} (found {tuple(vectors.shape)}): "
                "give one row per word of the vocabulary, and set word_width to their width"
            )
        mine.copy_(vectors)
        mine[0] = 0

    def _check_text(self, words: Tensor) -> None:
        if words.shape[1] > self.config.max_text:
            raise XlxmertError(
                f"texts must have at most {self.config.max_text} tokens (found {words.shape[1]}): "
                "shorten them or build the model with a larger max_text"
            )

    def _regions(self, picture: Tensor, on_grid: bool) -> Tensor:
        """The features of a picture's regions."""
        if on_grid:
            self._check_cells(picture)
        if not picture.is_floating_point():
            return self.features_of(picture)
        self._check_width(picture)
        return picture


def _linear(width: int, out: int, kind: NonlinearityKind, bias: bool = True) -> nn.Module:
    """A linear map; in the variant with ReLU weight-normed, one length for the whole matrix."""
    linear = nn.Linear(width, out, bias)
    return weight_norm(linear, dim=None) if kind == "relu" else linear  # type: ignore[arg-type]  # torch documents None


def _shares(scores: Tensor, hidden: Tensor | None) -> Tensor:
    """The softmax over regions, none for those that are hidden; zeros where all are."""
    scores = scores.float()  # (B, N)
    if hidden is None:
        return scores.softmax(-1)
    return scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(-1).masked_fill(hidden, 0)  # (B, N)

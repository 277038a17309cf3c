"""Table 7 of the XGPT paper: finding pictures by captions, learned with and without captions that XGPT wrote.

    python -m xlxmert.recipes.tables.xgpt_retrieval --seeds 3 --out runs/tables

As in the paper (section 6.1) the model that retrieves was pre-trained out of domain, here an X-LXMERT on masked words
and matching, and is fine-tuned in domain, once on the true captions and once on the written ones beside them. The
captioner is the row of table 2 with all objectives and both stages, of the same seed; it has seen no other picture.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from xlxmert.convert.captioner import Captioner
from xlxmert.convert.folder import Bundle
from xlxmert.core.axes import Tensor
from xlxmert.core.files import write_json, write_text
from xlxmert.core.task import OptimConfig
from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Sentence, Store, write_store
from xlxmert.models.base import Transformer
from xlxmert.recipes import train_store
from xlxmert.recipes.augment import Augmentation, Tally, chosen
from xlxmert.recipes.finetune import carried
from xlxmert.recipes.tables.data import SIZES, Sizes, make_data
from xlxmert.recipes.tables.plots import plot
from xlxmert.recipes.tables.rows import Column, Measure, Row, Scores, file_name, measured, table
from xlxmert.recipes.tables.x_lxmert import LXMERT, X, pretrain_run
from xlxmert.recipes.tables.xgpt import ALL, BUDGET, FULL, Budget, Rows, staged
from xlxmert.sampling import Nucleus
from xlxmert.studio import Describer
from xlxmert.studio.teller import Teller
from xlxmert.tasks.retrieval import RetrievalConfig, RetrievalTask
from xlxmert.tasks.scoring import score_retrieval
from xlxmert.train import TrainConfig, train

COLUMNS = tuple(Column(f"R@{k}", f"retrieval/text_to_image/R@{k}") for k in (1, 5, 10))
"""Finding the picture of a caption."""
PAPER = "R@1 / R@5 / R@10"
OPTIM = OptimConfig(lr=5e-4, muon_lr=0.005, betas=(0.9, 0.98), weight_decay=0.01)
"""Of the fine-tuning, as for every other task of the tables."""
AUGMENTATION = Augmentation(num=2)
"""About as many captions for a picture as in the paper."""


@dataclass(frozen=True)
class Lengths:
    """Steps of both trainings."""

    pretrain: int = 600
    """Of 64 sentences, out of domain."""
    tune: int = 200
    """Of 32 captions, in domain, for both rows."""
    pictures: int = 200
    """Unseen pictures that are searched."""


class Retrieval:
    """Both rows of table 7."""

    def __init__(self, rows: Rows, out: Path, lengths: Lengths) -> None:
        """Keep what both rows need; ``out`` holds table 2."""
        self.rows, self.out, self.lengths = rows, out, lengths

    def table7(self) -> list[Row]:
        """Without and with written captions; of the paper's table the text tells the differences alone."""
        return [
            Row("true captions", self._tuned(False), {PAPER: "0"}),
            Row("true and written captions", self._tuned(True), {PAPER: "+2.2 / +1.5 / +0.4"}),
        ]

    def _tuned(self, augmented: bool) -> Measure:
        def measure(folder: Path, seed: int) -> Scores:
            store = self.rows.told.inside.store
            if augmented:
                store = self._written(folder, self._trained(self._plain(seed), store, seed), seed)
            return self._score(self._trained(folder if augmented else self._plain(seed), store, seed))

        return measure

    def _plain(self, seed: int) -> Path:
        return self.out / file_name("true captions") / str(seed)

    def _pretrained(self, seed: int) -> Transformer:
        """The X-LXMERT that both rows start from."""
        objectives = dataclasses.replace(X, modalities=(0.0, 0.5, 0.5), word_kinds=("caption",))
        loop = pretrain_run(self.out / "retriever" / str(seed), self.lengths.pretrain, 64, seed)
        return train_store.pretrain(self.rows.told.outside, LXMERT, objectives, loop)

    def _trained(self, folder: Path, store: Store, seed: int) -> Transformer:
        """Fine-tuned on a store's captions."""
        model = carried(self._pretrained(seed), AnswerTable(()), None, False, seed)
        loop = TrainConfig(
            out=folder / "tune", steps=self.lengths.tune, batch_size=32, warmup=0.1, decay="linear", ema=0.98,
            seed=seed, log_every=25, quiet=True, keep=1, tensorboard=False,
        )  # fmt: skip
        task = RetrievalTask(model, store, RetrievalConfig(negatives=2, optim=OPTIM), seed)
        average = train(task, loop).averages["model"].eval()
        assert isinstance(average, Transformer)
        return average

    def _written(self, folder: Path, judge: Transformer, seed: int) -> Store:
        """The store of the true captions and those that XGPT writes and the plain row's model accepts."""
        inside = self.rows.told.inside.store
        plan = staged(self.rows.budget, ALL, two_stages=True)
        captioner = self.rows.trained(plan, self.out / file_name(FULL) / str(seed), seed)
        facts = {"most_words": inside.longest}
        describer = Describer(Captioner(captioner, inside.tokenizer, facts=facts), "cpu")
        features = inside.rows("features", range(inside.size))
        drawing = Nucleus(AUGMENTATION.top_p, AUGMENTATION.temperature)
        found = describer.write(features, AUGMENTATION.draws, decoding=drawing, seed=seed)
        known: list[list[str]] = [[] for _ in range(inside.size)]
        for sentence, picture in enumerate(inside.arrays["picture"].tolist()):
            known[picture].append(inside.tokenizer.decode(inside.words(sentence).tolist()))
        codes, tally, teller = inside.rows("codes", range(inside.size)), Tally(), self._teller(judge)

        def fit(places: Sequence[int], texts: Sequence[str]) -> list[float]:
            return [float(chance) for chance in teller.fit(codes, texts, places)]

        new = chosen([[each.text for each in row] for row in found], known, fit, AUGMENTATION, tally)
        write_json(folder / "written.json", dataclasses.asdict(tally))
        sentences = [
            Sentence(text, place)
            for place, rows in enumerate(zip(known, new, strict=True))
            for row in rows
            for text in row
        ]
        visual = {name: np.array(array) for name, array in inside.pictures.items()}
        names, size = inside.facts["pictures"], inside.count("codes")
        return write_store(
            folder / "store", visual, names, sentences, inside.tokenizer, inside.answers, inside.fingerprint, size
        )

    def _score(self, model: Transformer) -> Scores:
        """Recall among unseen pictures, by one caption of each."""
        codes, captions = self._searched
        return score_retrieval(self._teller(model).odds(codes, captions), range(len(captions)))

    def _teller(self, model: Transformer) -> Teller:
        return Teller(Bundle(model, self.rows.told.inside.store.tokenizer), torch.device("cpu"))

    @cached_property
    def _searched(self) -> tuple[Tensor, list[str]]:
        """Codes and first captions of unseen pictures."""
        exam = self.rows.exam
        count = self.lengths.pictures
        codebook = self.rows.data.vocabulary.codebook
        return codebook.assign(exam.features[:count]), [texts[0] for texts in exam.references[:count]]


def run(out: Path, seeds: int = 1, lengths: Lengths = Lengths(), budget: Budget = BUDGET, sizes: Sizes = SIZES) -> str:
    """Train and measure what is missing, and write ``out/xgpt-table-7.md`` with its plot."""
    retrieval = Retrieval(Rows(make_data(out, sizes), budget), out / "xgpt", lengths)
    rows = retrieval.table7()
    found = measured(out / "xgpt", rows, range(seeds))
    text = f"## Table 7\n\n{table(rows, found, COLUMNS, [PAPER])}\n"
    write_text(out / "xgpt-table-7.md", text)
    plot(out / "xgpt-table-7.png", "XGPT, table 7", rows, found, COLUMNS, PAPER)
    return text


def main() -> None:
    """Run the table from the command line."""
    import tyro

    def retrieval(out: Path = Path("runs/tables"), seeds: int = 1, lengths: Lengths = Lengths()) -> None:
        """Redo table 7 of the XGPT paper on the built-in world; call it again to go on after a stop."""
        print(run(out, seeds, lengths))

    tyro.cli(retrieval)


if __name__ == "__main__":
    main()

"""A captioner's folder: an XGPT, its words and how it looks at pictures, written and read as a whole.

It holds config.json, model.safetensors, tokenizer.json, README.md and codebook.safetensors. The captioner that comes
with the package looks at pictures as the bundled checkpoint does, and has no codebook of its own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from xlxmert.convert.folder import (
    CENTROIDS,
    FORMAT,
    check_codebook,
    codebook_facts,
    is_checkpoint,
    load_weights,
    rounded,
)
from xlxmert.convert.locate import CARD, CODEBOOK, CONFIG, MODEL, TOKENIZER, bundled, bundled_captioner, locate
from xlxmert.convert.looking import Lazy, Looking
from xlxmert.convert.whole import whole_folder
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_json, read_tensors, write_json, write_tensors, write_text
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.models.families import CONFIGS
from xlxmert.models.xgpt import Xgpt, XgptConfig
from xlxmert.vision.codebook import Codebook
from xlxmert.vision.vocabulary import VisualVocabulary

BUNDLED = "bundled"
"""A captioner's config says so where it looks with the bundled checkpoint's visual vocabulary."""


class Captioner(Looking):
    """An XGPT with all that belongs to it.

    Args:
        model: the transformer.
        tokenizer: its words.
        vocabulary: from pixels to features and codes, or a function that loads it; None for one that reads features of
            the user's own.
        card: the model card, Markdown.
        facts: whatever else should travel along, fit for JSON: how it was trained, measured scores. ``visual_input``
            says whether it reads codes or features, ``most_words`` the longest caption of the training.

    Raises:
        XlxmertError: the parts do not fit each other.
    """

    def __init__(
        self,
        model: Xgpt,
        tokenizer: Tokenizer,
        vocabulary: Lazy = None,
        card: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Put the parts together; see the class."""
        super().__init__(vocabulary)
        self.model, self.tokenizer, self.card, self.facts = model, tokenizer, card, dict(facts or {})
        if tokenizer.size != model.config.vocabulary:
            raise XlxmertError(
                f"expected {model.config.vocabulary} words of the tokenizer, as the model's config says, found "
                f"{tokenizer.size}: take all parts of a captioner from one training"
            )

    @property
    def most_words(self) -> int:
        """The longest caption, in tokens without [CLS] and [SEP]."""
        positions = self.model.config.max_text - 2
        return min(positions, int(self.facts.get("most_words", positions)))

    @property
    def visual_input(self) -> str:
        """``codes`` or ``features``."""
        return str(self.facts.get("visual_input", "features"))

    def to(self, device: torch.device | str) -> "Captioner":
        """The same parts on another device; the module itself is moved."""
        return Captioner(self.model.to(device), self.tokenizer, self.looking_on(device), self.card, self.facts)

    def save_pretrained(self, folder: str | Path, half: bool = True, looks_as_bundled: bool = False) -> None:
        """Write the folder as a whole; an earlier checkpoint there is replaced when the new one is complete.

        Args:
            folder: where to; anything but a checkpoint there is left alone, with an error.
            half: round the weights to 16 bits.
            looks_as_bundled: leave the codebook out and take the bundled checkpoint's when the folder is read.

        Raises:
            XlxmertError: the folder holds something else, the disk is full, model and codebook disagree, or it does not
                look as the bundled checkpoint does.
        """
        if looks_as_bundled:
            self._check_looks()
        with whole_folder(Path(folder), "a captioner", is_checkpoint) as part:
            vocabulary, state = self.vocabulary, dict(self.model.state_dict())
            codebook = None
            if vocabulary is not None:
                codebook = codebook_facts(vocabulary, state.pop(CENTROIDS, None))
                if not looks_as_bundled:
                    vocabulary.to("cpu").save(part / CODEBOOK)
            write_tensors(part / MODEL, rounded(state) if half else state)
            content = {
                "format": FORMAT,
                "family": self.model.config.family,
                "model": self.model.config.to_dict(),
                "codebook": codebook,
                "looks": BUNDLED if looks_as_bundled else "own",
                "facts": self.facts,
            }
            write_json(part / CONFIG, content)
            self.tokenizer.save(part / TOKENIZER)
            write_text(part / CARD, self.card)

    @classmethod
    def from_pretrained(cls, name: str | Path | None = None, device: torch.device | str = "cpu") -> "Captioner":
        """Read a captioner: the bundled one by default, a folder, or a name on the hub.

        Raises:
            UsageError: there is no such captioner.
            XlxmertError: it is a checkpoint of another family, a weight is missing, unexpected or misshapen (all are
                named), or the codebook is another one.
        """
        folder = bundled_captioner() if name is None else locate(name)
        config = _read_config(folder)
        model = Xgpt(XgptConfig.from_dict(config["model"])).eval()
        tensors, _ = read_tensors(folder / MODEL)
        looks = config.get("codebook")
        load_weights(model, tensors, str(folder / MODEL), [CENTROIDS] if looks else [])
        vocabulary: Lazy = None
        if looks:
            codebook = (bundled() if config.get("looks") == BUNDLED else folder) / CODEBOOK
            if model.centroids is not None:
                model.load_centroids(check_codebook(codebook, looks["fingerprint"]).centroids)
            vocabulary = lambda: _vocabulary(codebook, looks["fingerprint"])  # noqa: E731
        card = (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else ""
        whole = cls(
            model.requires_grad_(False), Tokenizer.load(folder / TOKENIZER), vocabulary, card, config.get("facts")
        )
        return whole.to(device)

    def _check_looks(self) -> None:
        """Make sure that the bundled checkpoint's codebook is this captioner's."""
        mine = None if self.vocabulary is None else self.vocabulary.codebook.to("cpu").fingerprint
        theirs = Codebook.load(bundled() / CODEBOOK).fingerprint
        if mine != theirs:
            raise XlxmertError(
                f"expected a captioner with the bundled checkpoint's codebook {theirs}, found {mine or 'none'}: "
                "leave looks_as_bundled out"
            )


def _vocabulary(path: Path, fingerprint: str) -> VisualVocabulary:
    """The visual vocabulary of a file, if it is the expected one."""
    check_codebook(path, fingerprint)
    return VisualVocabulary.load(path)


def _read_config(folder: Path) -> dict[str, Any]:
    config = read_json(folder / CONFIG)
    found = (config.get("format"), config.get("family")) if isinstance(config, dict) else (None, None)
    if found != (FORMAT, XgptConfig.family):
        raise XlxmertError(
            f"expected a captioner of format {FORMAT} and family {XgptConfig.family} in {folder / CONFIG}, found "
            f"format {found[0]} and family {found[1]}: "
            f"{'pass it as --checkpoint' if found[1] in CONFIGS else 'write it again with this version of xlxmert'}"
        )
    assert isinstance(config, dict)
    return config

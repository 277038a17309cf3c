"""The checkpoint folder: everything that a studio needs, written and read as a whole."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xlxmert.convert.locate import ANSWERS, CARD, CODEBOOK, CONFIG, GENERATOR, MODEL, TOKENIZER, locate
from xlxmert.convert.looking import Looking
from xlxmert.convert.whole import whole_folder
from xlxmert.core.axes import Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_json, read_tensors, write_json, write_tensors, write_text
from xlxmert.data.answers import AnswerTable
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.models.base import Transformer
from xlxmert.models.families import CONFIGS, build, config_of
from xlxmert.models.generator import Generator, GeneratorConfig
from xlxmert.vision.codebook import Codebook
from xlxmert.vision.vocabulary import VisualVocabulary

FORMAT = 1
"""The version of the folder's layout."""
CENTROIDS = "centroids"


class Bundle(Looking):
    """A model with all that belongs to it.

    Args:
        model: the transformer.
        tokenizer: its words.
        vocabulary: from pixels to codes, or a function that loads it when it is first asked for; painting never asks.
        generator: from features to pixels; None for a model that does not paint.
        answers: the answers that the question head knows.
        card: the model card, Markdown.
        facts: whatever else should travel along, fit for JSON: seed, recipe, measured scores. ``most_words`` is read
            here: the longest sentence of the training, in tokens without [CLS] and [SEP].

    Raises:
        XlxmertError: the parts do not fit each other.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        vocabulary: VisualVocabulary | Callable[[], VisualVocabulary] | None = None,
        generator: Generator | None = None,
        answers: AnswerTable | None = None,
        card: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Put the parts together; see the class."""
        self.model, self.tokenizer, self.generator, self.answers = model, tokenizer, generator, answers
        super().__init__(vocabulary)
        self.card, self.facts = card, dict(facts or {})
        self._check()

    @property
    def most_words(self) -> int:
        """The longest sentence that the model can read, in tokens without [CLS] and [SEP]."""
        positions = self.model.config.max_text - 2
        return min(positions, int(self.facts.get("most_words", positions)))

    def to(self, device: torch.device | str) -> "Bundle":
        """The same parts on another device; the modules themselves are moved."""
        generator = None if self.generator is None else self.generator.to(device)
        return self._with(self.model.to(device), self.looking_on(device), generator)

    def save_pretrained(self, folder: str | Path, half: bool = True, fold: bool = True) -> None:
        """Write the folder as a whole; an earlier checkpoint there is replaced when the new one is complete.

        Args:
            folder: where to; anything but a checkpoint there is left alone, with an error.
            half: round the weights to 16 bits; the codebook keeps its 32, its fingerprint depends on them.
            fold: multiply the generator's spectral norms into its weights, which then cannot be trained on as before.

        Raises:
            XlxmertError: the folder holds something else, the disk is full, or model and codebook disagree.
        """
        with whole_folder(Path(folder), "a checkpoint", is_checkpoint) as part:
            self._write(part, half, fold)

    @classmethod
    def from_pretrained(cls, name: str | Path | None = None, device: torch.device | str = "cpu") -> "Bundle":
        """Read a checkpoint: the bundled one by default, a folder, or a name on the hub.

        Raises:
            UsageError: there is no such checkpoint.
            XlxmertError: a weight is missing, unexpected or misshapen (all are named), or the codebook is another one.
        """
        folder = locate(name)
        config = _read_config(folder)
        model = _read_model(folder, config)
        generator = _read_generator(folder, config) if config.get("generator") else None
        return cls(
            model,
            Tokenizer.load(folder / TOKENIZER),
            (lambda: VisualVocabulary.load(folder / CODEBOOK)) if config.get("codebook") else None,
            generator,
            AnswerTable.load(folder / ANSWERS) if model.config.answers else None,
            (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else "",
            config.get("facts"),
        ).to(device)

    def _with(self, model: Transformer, vocabulary: Any, generator: Generator | None) -> "Bundle":
        return Bundle(model, self.tokenizer, vocabulary, generator, self.answers, self.card, self.facts)

    def _check(self) -> None:
        """Complain about parts that were not made for each other."""
        config = self.model.config
        pairs = {"words of the tokenizer": (self.tokenizer.size, config.vocabulary)}
        pairs["answers"] = (len(self.answers or ()), config.answers)
        if self.generator is not None:
            pairs["width of the generator's features"] = (self.generator.config.feature_width, config.feature_width)
            pairs["cells per side of the generator"] = (self.generator.config.grid, config.grid)
        for what, (found, expected) in pairs.items():
            if found != expected:
                raise XlxmertError(
                    f"expected {expected} {what}, as the model's config says, found {found}: "
                    "take all parts of a checkpoint from one training"
                )

    def _write(self, part: Path, half: bool, fold: bool) -> None:
        """All files, into a folder that nobody reads yet."""
        vocabulary, generator = self.vocabulary, self.generator
        state = dict(self.model.state_dict())
        codebook = None
        if vocabulary is not None:
            codebook = codebook_facts(vocabulary, state.pop(CENTROIDS, None))
            vocabulary.to("cpu").save(part / CODEBOOK)
        write_tensors(part / MODEL, rounded(state) if half else state)
        if generator is not None:
            generator = generator.folded() if fold and generator.config.spectral else generator
            plain = generator.state_dict()
            write_tensors(part / GENERATOR, rounded(plain) if half else plain)
        content = {
            "format": FORMAT,
            "family": self.model.config.family,
            "model": self.model.config.to_dict(),
            "generator": generator and generator.config.to_dict(),
            "codebook": codebook,
            "facts": self.facts,
        }
        write_json(part / CONFIG, content)
        self.tokenizer.save(part / TOKENIZER)
        if self.answers is not None:
            self.answers.save(part / ANSWERS)
        write_text(part / CARD, self.card)


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], where: str, absent: Iterable[str] = ()) -> None:
    """Give a module its weights, in single precision; what it is to keep as it is, is named in ``absent``.

    Raises:
        XlxmertError: a weight is missing, unexpected or misshapen; the message names them all.
    """
    wanted = {name: tensor for name, tensor in module.state_dict().items() if name not in set(absent)}
    missing, unexpected = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    misshapen = [
        f"{name} is {tuple(tensors[name].shape)} and should be {tuple(wanted[name].shape)}"
        for name in sorted(wanted.keys() & tensors.keys())
        if tensors[name].shape != wanted[name].shape
    ]
    if missing or unexpected or misshapen:
        kinds = {"missing": missing, "unexpected": unexpected, "misshapen": misshapen}
        found = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names)
        raise XlxmertError(
            f"expected {len(wanted)} weights in {where}, found {found}: "
            "the file is of another model or version; write or download the checkpoint again"
        )
    whole = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    module.load_state_dict(whole, strict=False, assign=True)


def codebook_facts(vocabulary: VisualVocabulary, centroids: Tensor | None) -> dict[str, Any]:
    """What a checkpoint's config says of its visual vocabulary.

    Raises:
        XlxmertError: ``centroids``, those that the model holds, are not the vocabulary's.
    """
    fingerprint = vocabulary.codebook.to("cpu").fingerprint
    mine = fingerprint if centroids is None else Codebook(centroids.cpu()).fingerprint
    if mine != fingerprint:
        raise XlxmertError(
            f"expected the codebook that the model holds (fingerprint {mine}), found {fingerprint}: "
            "load_centroids of this vocabulary before training"
        )
    return {"fingerprint": fingerprint, **vocabulary.config()}


def check_codebook(path: Path, expected: str) -> Codebook:
    """Read the codebook of a checkpoint.

    Raises:
        XlxmertError: it is not the one of this fingerprint.
    """
    codebook = Codebook.load(path)
    if codebook.fingerprint != expected:
        raise XlxmertError(
            f"expected the codebook {expected}, with which the model was trained, in {path}, "
            f"found {codebook.fingerprint}: put the codebook of that training there"
        )
    return codebook


def _read_config(folder: Path) -> dict[str, Any]:
    config = read_json(folder / CONFIG)
    found = (config.get("format"), config.get("family")) if isinstance(config, dict) else (None, None)
    if found[0] != FORMAT or found[1] not in CONFIGS:
        raise XlxmertError(
            f"expected a checkpoint of format {FORMAT} and family {' or '.join(CONFIGS)} in {folder / CONFIG}, "
            f"found format {found[0]} and family {found[1]}: "
            f"{'pass a captioner as --model' if found[1] == 'xgpt' else 'write it again with this version of xlxmert'}"
        )
    assert isinstance(config, dict)
    return config


def _read_model(folder: Path, config: Mapping[str, Any]) -> Transformer:
    model = build(config_of(config["family"], config["model"])).eval()
    tensors, _ = read_tensors(folder / MODEL)
    separate = bool(config.get("codebook"))
    load_weights(model, tensors, str(folder / MODEL), [CENTROIDS] if separate else [])
    if separate:
        codebook = check_codebook(folder / CODEBOOK, config["codebook"]["fingerprint"])
        if model.centroids is not None:  # without codes a model reads the features themselves
            model.load_centroids(codebook.centroids)
    return model.requires_grad_(False)


def _read_generator(folder: Path, config: Mapping[str, Any]) -> Generator:
    settings = GeneratorConfig.from_dict(config["generator"])
    with torch.device("meta"):  # its orthogonal start would take longer than everything else
        generator = Generator(settings).eval()
    tensors, _ = read_tensors(folder / GENERATOR)
    load_weights(generator, tensors, str(folder / GENERATOR))
    return generator.requires_grad_(False)


def rounded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in 16 bits, but for the centroids and for what would overflow."""
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    return {
        name: state[name] if name == CENTROIDS or not bool(half.isfinite().all()) else half
        for name, half in halves.items()
    }


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder holds a checkpoint of this project: the config of a foreign model has no format."""
    try:
        config = read_json(folder / CONFIG)
    except XlxmertError:
        return False
    return isinstance(config, dict) and "format" in config

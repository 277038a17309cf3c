"""A tiny checkpoint and a tiny captioner with random weights: all that a studio needs, for tests without a download."""

import dataclasses

import numpy as np
import torch

from xlxmert.convert.captioner import Captioner
from xlxmert.convert.folder import Bundle
from xlxmert.core.axes import UInt8
from xlxmert.core.seeds import numpy_generator, seed_of
from xlxmert.data.answers import AnswerTable
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.models.generator import Generator
from xlxmert.models.generator.presets import TINY as TINY_GENERATOR
from xlxmert.models.lxmert import TINY, Lxmert
from xlxmert.models.xgpt import TINY as TINY_XGPT
from xlxmert.models.xgpt import Xgpt
from xlxmert.vision.backbone import Backbone
from xlxmert.vision.regions import FeatureSpec
from xlxmert.vision.vocabulary import FeatureExtractor, VisualVocabulary, fit_vocabulary

SENTENCES = (
    "two red cars on the beach",
    "a dog and a cat in the snow",
    "three green apples above a blue car",
    "there is a bird to the left of a house",
    "what color is the car ?",
    "how many dogs are there ?",
)
"""All that the tiny tokenizer ever saw."""
ANSWERS = ("yes", "no", "red", "two", "dog")
SIZE = 32
"""Side of its pictures, in pixels."""
CODES = 20


def tiny_tokenizer() -> Tokenizer:
    """A tokenizer that knows the words of `SENTENCES` whole."""
    return Tokenizer.train(SENTENCES, 400, least=1)


def tiny_pictures(count: int, seed: int = 0) -> UInt8[np.ndarray, "B S S 3"]:
    """Pictures of random patches."""
    patches = numpy_generator("tiny pictures", seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return patches.repeat(SIZE // 8, 1).repeat(SIZE // 8, 2)


def tiny_vocabulary(seed: int = 0) -> VisualVocabulary:
    """A visual vocabulary of plain colours: features of width 12, 20 codes; the backbone takes no part."""
    spec = FeatureSpec(grid=8, depths=(), colour_parts=2)
    extractor = FeatureExtractor.fit(Backbone(2), spec, tiny_pictures(4, seed))
    return fit_vocabulary(extractor, tiny_pictures(4, seed), CODES, iterations=3, seed=seed)


def tiny_bundle(seed: int = 0) -> Bundle:
    """A whole checkpoint of about fifty thousand random values; lively enough that prompts make a difference."""
    tokenizer, vocabulary = tiny_tokenizer(), tiny_vocabulary(seed)
    config = dataclasses.replace(
        TINY, vocabulary=tokenizer.size, feature_width=vocabulary.width, codes=CODES, answers=len(ANSWERS)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("tiny bundle", seed))
        model, generator = Lxmert(config).eval(), Generator(TINY_GENERATOR).eval()
        for weight in model.parameters():
            if weight.dim() > 1:
                torch.nn.init.normal_(weight, std=0.2)
    model.load_centroids(vocabulary.codebook.centroids)
    facts = {"seed": seed, "caption_words": [3, 6], "scores": {"test": {"facts right in painted pictures": 0.5}}}
    card = "# A tiny model\n\nRandom weights, for tests.\n"
    return Bundle(model, tokenizer, vocabulary, generator.folded(), AnswerTable(ANSWERS), card, facts)


def tiny_captioner(seed: int = 0, codes: bool = False) -> Captioner:
    """A whole captioner of about thirty thousand random values, whose captions differ from picture to picture.

    Args:
        seed: of the weights and of the visual vocabulary.
        codes: read pictures as codes; by default it reads their features.
    """
    tokenizer, vocabulary = tiny_tokenizer(), tiny_vocabulary(seed)
    config = dataclasses.replace(
        TINY_XGPT, vocabulary=tokenizer.size, feature_width=vocabulary.width, codes=CODES if codes else 0, norm="before"
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("tiny xgpt", seed))
        model = Xgpt(config).eval()
        for name, weight in model.named_parameters():
            if weight.dim() > 1:  # places weigh most, or every word would be that before it once more
                torch.nn.init.normal_(weight, std=2.0 if name == "words.position.weight" else 0.3)
    if codes:
        model.load_centroids(vocabulary.codebook.centroids)
    facts = {"seed": seed, "visual_input": "codes" if codes else "features", "most_words": 8}
    return Captioner(model, tokenizer, vocabulary, "# A tiny captioner\n\nRandom weights, for tests.\n", facts)

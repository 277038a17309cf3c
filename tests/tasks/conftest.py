"""A toy store for the fine-tuning tasks: twelve pictures of one colour each, with all that is said of them."""

from pathlib import Path

import numpy as np
import pytest

from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Sentence, Store, write_store
from xlxmert.data.tokenizer import Tokenizer

COLOURS = ("red", "green", "blue", "black")
PICTURES, CELLS = 12, 4


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Caption, question, codes and features all tell the colour; one question has an answer that no table knows."""
    sentences = []
    for picture in range(PICTURES):
        colour = COLOURS[picture % 4]
        sentences.append(Sentence(f"a {colour} car on the beach", picture))
        sentences.append(Sentence("what color is the car ?", picture, "question", {colour: 1.0, "grey": 0.3}))
        for told in (colour, COLOURS[(picture + 1) % 4]):
            text, second = f"the left car is {told}", (picture + 1) % PICTURES  # the right one has the other colour
            sentences.append(Sentence(text, picture, "statement", second=second, truth=told == colour))
    sentences.append(Sentence("is there a dog ?", 0, "question", {"maybe": 1.0}))
    tokenizer = Tokenizer.train([s.text for s in sentences], 100)
    codes = np.repeat(np.arange(PICTURES, dtype=np.uint16)[:, None] % 4, CELLS, axis=1)
    features = np.eye(32, dtype=np.float16)[codes]
    folder: Path = tmp_path_factory.mktemp("colours") / "store"
    names = [str(place) for place in range(PICTURES)]
    visual = {"codes": codes, "features": features}
    return write_store(folder, visual, names, sentences, tokenizer, AnswerTable(COLOURS), "cafe", 8)

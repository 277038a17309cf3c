"""XGPT: sizes, what each position may see, and that caches and padding change nothing."""

import dataclasses

import pytest
import torch

from xlxmert.core.errors import XlxmertError
from xlxmert.models.xgpt import PAPER, PAPER_TINY, TINY, CachedWriter, PlainWriter, Xgpt, XgptConfig
from xlxmert.nn.embeddings import grid_boxes

ARCHS = ("encdec_share", "encdec", "enc")
GRID = dataclasses.replace(TINY, grid=4, dropout=0.0, attention_dropout=0.0)


def lively(config: XgptConfig, seed: int = 0) -> Xgpt:
    """A model in double precision whose inputs all make a difference."""
    torch.manual_seed(seed)
    model = Xgpt(config).double().eval()
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.3)
    return model


def parameter_count(model: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())  # those that several parts share count once


def formula(c: XgptConfig) -> int:
    """The parameter count as docs/captioner.md has it."""
    d, f = c.width, c.feed_forward
    words = c.vocabulary * d + c.max_text * d + 2 * d
    regions = (c.feature_width + 5) * d + d + 2 * d
    refiner = c.refine_layers * ((3 * d * d + 3 * d) + (4 * d * d + 2 * d) + 2 * d)
    layer = (4 * d * d + 4 * d) + (2 * d * f + f + d) + 4 * d
    rest = c.vocabulary + 3 * d + d
    return words + regions + refiner + c.layers * layer + rest


@pytest.mark.parametrize("config", [PAPER, PAPER_TINY, TINY], ids=["base", "tiny", "for tests"])
def test_the_presets_have_as_many_values_as_the_formula(config: XgptConfig) -> None:
    with torch.device("meta"):
        assert parameter_count(Xgpt(config)) == formula(config)


def test_the_base_preset_is_the_size_that_its_docstring_says() -> None:
    assert formula(PAPER) == 134_961_978
    assert (PAPER.layers, PAPER.width, PAPER.heads, PAPER_TINY.layers) == (12, 768, 8, 6)


def test_sharing_halves_the_layers_and_one_stack_has_as_many_as_sharing() -> None:
    counts = {arch: parameter_count(Xgpt(dataclasses.replace(TINY, arch=arch))) for arch in ARCHS}
    d = TINY.width
    layer = (4 * d * d + 4 * d) + (2 * d * TINY.feed_forward + TINY.feed_forward + d) + 4 * d
    cross = TINY.layers * (4 * d * d + 4 * d + 2 * d)
    words = TINY.vocabulary * d + TINY.max_text * d + 2 * d
    assert counts["enc"] == counts["encdec_share"]
    assert counts["encdec"] == counts["encdec_share"] + TINY.layers * layer + cross + words


@pytest.mark.parametrize("norm", ["after", "before"])
@pytest.mark.parametrize("arch", ARCHS)
def test_word_by_word_with_a_cache_gives_the_states_of_the_whole_sentence(arch: str, norm: str) -> None:
    model = lively(dataclasses.replace(GRID, arch=arch, norm=norm))
    words, features = torch.randint(5, 200, (3, 9)), torch.randn(3, 16, 32).double()
    memory = model.encode(model.embed_picture(features))
    whole, cache = model.decode(words, memory), model.cache(memory)
    steps = [model.decode(words[:, place : place + 1], memory, cache=cache) for place in range(9)]
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-10, rtol=0)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("padded", [False, True])
def test_a_cache_follows_its_rows_through_any_choice(arch: str, padded: bool) -> None:
    model = lively(dataclasses.replace(GRID, arch=arch))
    features, boxes = torch.randn(3, 6, 32).double(), grid_boxes(4)[:6].expand(3, -1, -1).double()
    mask = torch.arange(6) < torch.tensor([[6], [4], [5]]) if padded else None
    memory = model.encode(model.embed_picture(features, boxes, mask), mask)
    cached, plain = CachedWriter(model, memory), PlainWriter(model, memory)
    words = torch.full((3, 1), 5)
    for rows in ([0, 0, 1, 1, 2, 2], [1, 1, 3, 2, 4, 4], [2, 2, 5, 4], [0, 3]):
        torch.testing.assert_close(cached(words), plain(words), atol=1e-10, rtol=0)
        chosen = torch.tensor(rows)
        cached.keep(chosen)
        plain.keep(chosen)
        words = torch.cat([words[chosen], torch.randint(5, 200, (len(rows), 1))], 1)
    torch.testing.assert_close(cached(words), plain(words), atol=1e-10, rtol=0)


def test_a_cache_refuses_pictures_with_unequal_rows() -> None:
    model = lively(GRID)
    writer = CachedWriter(model, model.encode(model.embed_picture(torch.randn(2, 16, 32).double())))
    writer(torch.full((2, 1), 5))
    for rows in ([0, 0, 1], [0, 1, 0, 1]):
        with pytest.raises(XlxmertError, match="side by side and equally many"):
            writer.keep(torch.tensor(rows))


@pytest.mark.parametrize("arch", ARCHS)
def test_a_word_sees_the_picture_and_the_words_before_it_alone(arch: str) -> None:
    model = lively(dataclasses.replace(GRID, arch=arch))
    words, features = torch.randint(5, 200, (1, 6)), torch.randn(1, 16, 32).double()
    memory = model.encode(model.embed_picture(features))
    states = model.decode(words, memory)
    later = model.decode(torch.cat([words[:, :3], torch.randint(5, 200, (1, 3))], 1), memory)
    torch.testing.assert_close(states[:, :3], later[:, :3], atol=1e-12, rtol=0)
    assert (states[:, 3:] - later[:, 3:]).abs().max() > 1e-3
    other = model.decode(words, model.encode(model.embed_picture(features.flip(1))))
    assert (states - other).abs().amin(2).max() > 1e-6


@pytest.mark.parametrize("arch", ARCHS)
def test_padding_of_regions_and_words_changes_nothing(arch: str) -> None:
    model = lively(dataclasses.replace(GRID, arch=arch))
    features, boxes = torch.randn(1, 6, 32).double(), torch.rand(1, 6, 4).double()
    read, words = torch.randint(5, 200, (1, 5)), torch.randint(5, 200, (1, 4))

    def states(extra: int) -> torch.Tensor:
        more = torch.cat([features, torch.randn(1, extra, 32).double()], 1)
        where = torch.cat([boxes, torch.rand(1, extra, 4).double()], 1)
        there = torch.arange(6 + extra)[None] < 6
        longer = torch.cat([read, torch.zeros(1, extra, dtype=torch.long)], 1)
        regions = model.embed_picture(more, where, there)
        joint, mask = torch.cat([regions, model.embed_words(longer)], 1), torch.cat([there, longer > 0], 1)
        written = torch.cat([words, torch.zeros(1, extra, dtype=torch.long)], 1)
        return model.decode(written, model.encode(joint, mask))[:, :4]

    torch.testing.assert_close(states(5), states(0), atol=1e-10, rtol=0)


def test_words_that_attend_to_a_picture_follow_the_equation() -> None:
    model = lively(GRID)
    words, regions = torch.randn(2, 3, 32).double(), torch.randn(2, 5, 32).double()
    mask = torch.tensor([[True] * 5, [True, True, False, True, False]])
    found = model.attend_words(words, regions, mask)
    for row in range(2):
        there = regions[row][mask[row]]
        for place in range(3):
            pairs = torch.stack(
                [torch.cat([words[row, place], region, words[row, place] * region]) for region in there]
            )
            weights = (pairs @ model.align.flatten()).softmax(0)
            torch.testing.assert_close(found[row, place], weights @ there, atol=1e-10, rtol=0)
    beside = lively(dataclasses.replace(GRID, attended="residual"))
    torch.testing.assert_close(beside.attend_words(words, regions, mask), found + words, atol=1e-10, rtol=0)


@pytest.mark.parametrize(("kind", "sees"), [("shifted", 0), ("query", None), ("leak", 1)])
def test_generated_regions_see_those_before_them_and_only_the_leaking_variant_themselves(
    kind: str, sees: int | None
) -> None:
    model = lively(dataclasses.replace(GRID, paint_input=kind))
    memory = model.encode(model.embed_words(torch.randint(5, 200, (1, 6))))
    regions = torch.randn(1, 16, 32).double()
    changed = regions.clone()
    changed[:, 7] += 1
    moved = (model.generate_regions(memory, changed) - model.generate_regions(memory, regions)).abs().amax(2)[0] > 1e-9
    first = 16 if sees is None else 8 - sees
    assert moved.tolist() == [place >= first for place in range(16)]


def test_codes_are_read_as_their_centroids() -> None:
    model = Xgpt(dataclasses.replace(GRID, codes=20)).eval()
    model.load_centroids(torch.randn(20, 32))
    codes = torch.randint(0, 20, (2, 16))
    torch.testing.assert_close(model.embed_picture(codes), model.embed_picture(model.features_of(codes)))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (torch.randn(1, 16, 30), r"must be 32 wide \(found \(1, 16, 30\)\)"),
        (torch.randn(1, 9, 32), r"must have 16 cells, a grid of 4 x 4 \(found 9\)"),
        (torch.zeros(1, 16, dtype=torch.long), "needs a model with visual codes"),
    ],
)
def test_pictures_that_it_cannot_read(picture: torch.Tensor, message: str) -> None:
    with pytest.raises(XlxmertError, match=message):
        Xgpt(GRID).embed_picture(picture)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "heads must divide the width"),
        ({"answers": 5}, "answers and pairs must be 0 and False"),
        ({"layers": 0}, "layers must be a whole number of at least 1"),
    ],
)
def test_configs_check_themselves(changes: dict[str, object], message: str) -> None:
    with pytest.raises(XlxmertError, match=message):
        dataclasses.replace(TINY, **changes)


def test_texts_longer_than_the_positions_are_refused() -> None:
    model = Xgpt(GRID)
    memory = model.encode(model.embed_picture(torch.randn(1, 16, 32)))
    with pytest.raises(XlxmertError, match=r"at most 32 tokens \(found 33\)"):
        model.decode(torch.full((1, 33), 5), memory)

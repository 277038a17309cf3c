"""What looks at what: every map under its kind and layer, one joint map cut in four, and drawings that show it."""

import dataclasses

import numpy as np
import pytest
import torch

from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.seeds import numpy_generator, torch_generator
from xlxmert.models.families import build
from xlxmert.models.uniter import Uniter, UniterConfig
from xlxmert.nn.attention import watched
from xlxmert.studio import Studio
from xlxmert.studio.attention import KINDS, AttentionMaps, LayerMaps, blocks, by_kind
from xlxmert.studio.attention_pictures import draw_attention, heat_tile, strongest_links
from xlxmert.testing.tiny import CODES, tiny_bundle, tiny_pictures

PICTURE = tiny_pictures(1)[0]
SENTENCE = "two red cars on the beach"
TOKENS = ("[CLS]", "two", "red", "cars", "on", "the", "beach", "[SEP]")


@pytest.fixture(scope="module")
def found(studio: Studio) -> AttentionMaps:
    return studio.attend(PICTURE, SENTENCE)


def made_up(words: int = 3, grid: int = 2, layers: int = 2, heads: int = 3) -> AttentionMaps:
    """Maps of random rows."""
    rng, sizes = numpy_generator("attending", words, grid), {"word": words, "region": grid * grid}
    kinds = {}
    for kind in KINDS:
        rows, columns = (sizes[side] for side in kind.split("-"))
        weights = rng.dirichlet(np.ones(columns), (layers, heads, rows)).astype(np.float32)
        kinds[kind] = LayerMaps(tuple(f"layer {number + 1}" for number in range(layers)), weights)
    return AttentionMaps(PICTURE, "", tuple(f"w{place}" for place in range(words)), grid, kinds)


def test_a_checkpoint_that_reads_features_is_shown_features(studio: Studio) -> None:
    own = studio.bundle
    config = dataclasses.replace(own.model.config, codes=0, code_input="centroids", code_head="centroids")
    model = build(config).eval()
    regressing = Studio(Bundle(model, own.tokenizer, own.vocabulary, own.generator, own.answers), "cpu")
    maps = regressing.attend(PICTURE, SENTENCE)
    assert own.vocabulary is not None
    features = own.vocabulary.features(torch.from_numpy(PICTURE)[None])
    with torch.inference_mode(), watched(model) as kept:
        model(own.tokenizer.encode([SENTENCE], 30), features)
    expected = by_kind(kept, len(TOKENS))
    for kind in KINDS:
        assert np.array_equal(maps.kinds[kind].weights, expected[kind].weights)


def test_every_kind_has_its_layers_and_rows_that_sum_to_one(found: AttentionMaps) -> None:
    assert found.tokens == TOKENS and found.grid == 8 and found.notes == () and tuple(found.kinds) == KINDS
    assert np.array_equal(found.picture, PICTURE)
    told = {kind: (maps.layers, maps.weights.shape) for kind, maps in found.kinds.items()}
    assert told == {
        "word-region": (("cross 1",), (1, 2, 8, 64)),
        "region-word": (("cross 1",), (1, 2, 64, 8)),
        "word-word": (("language 1", "cross 1"), (2, 2, 8, 8)),
        "region-region": (("relation 1", "cross 1"), (2, 2, 64, 64)),
    }
    for maps in found.kinds.values():
        assert maps.weights.dtype == np.float32 and maps.weights.min() >= 0
        np.testing.assert_allclose(maps.weights.sum(-1), 1, atol=1e-5)


def test_the_maps_are_those_of_the_modules_in_question(studio: Studio, found: AttentionMaps) -> None:
    """The first layers' maps equal those made from the encoders' inputs with the layers' own projections."""
    model, vocabulary = studio.bundle.model, studio.bundle.vocabulary
    assert vocabulary is not None
    words = studio.bundle.tokenizer.encode([SENTENCE], 32)
    with torch.inference_mode():
        language = model.encode_words(words)
        vision = model.encode_picture(vocabulary.encode(torch.from_numpy(PICTURE[None])))
        cross = model.get_submodule("cross_layers.0.cross")
        (asked, word_keys, _), (looked, visual_keys, _) = cross.split(language), cross.split(vision)
        to_words = (asked @ visual_keys.mT / 16**0.5).softmax(-1)[0]  # heads of width 32 / 2
        to_vision = (looked @ word_keys.mT / 16**0.5).softmax(-1)[0]
        first = model.get_submodule("language_layers.0.attention")
        queries, keys, _ = first.split(model.words(words))
        among_words = (queries @ keys.mT / 16**0.5).softmax(-1)[0]
    np.testing.assert_allclose(found.kinds["word-region"].weights[0], to_words.numpy(), atol=1e-5)
    np.testing.assert_allclose(found.kinds["region-word"].weights[0], to_vision.numpy(), atol=1e-5)
    np.testing.assert_allclose(found.kinds["word-word"].weights[0], among_words.numpy(), atol=1e-5)


def test_attending_changes_no_answer(studio: Studio) -> None:
    before = studio.match(PICTURE, SENTENCE), studio.answer(PICTURE, "how many dogs are there ?", 5)
    studio.attend(PICTURE, SENTENCE)
    after = studio.match(PICTURE, SENTENCE), studio.answer(PICTURE, "how many dogs are there ?", 5)
    assert np.array_equal(before[0], after[0]) and before[1] == after[1]


def test_strange_words_are_noted_and_bad_sentences_refused(studio: Studio) -> None:
    assert "zeppelin" in studio.attend(PICTURE, "a zeppelin in the snow").notes[0]
    for bad in ("", "  ", "zeppelin", "dog " * 40):
        with pytest.raises(UsageError):
            studio.attend(PICTURE, bad)


def test_a_joint_map_is_cut_into_four_and_rows_become_shares() -> None:
    joint = torch.tensor(
        [
            [0.1, 0.3, 0.6, 0.0, 0.0],
            [0.5, 0.0, 0.1, 0.2, 0.2],
            [0.2, 0.2, 0.2, 0.2, 0.2],
            [1.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.5, 0.5],
        ]
    )[None, None]
    cut = {kind: block[0, 0].tolist() for kind, block in blocks(joint, words=2).items()}
    assert np.allclose(cut["word-word"], [[0.25, 0.75], [1, 0]])
    assert np.allclose(cut["word-region"], [[1, 0, 0], [0.2, 0.4, 0.4]])
    assert np.allclose(cut["region-word"], [[0.5, 0.5], [1, 0], [0.5, 0.5]])  # the last gives the words nothing: even
    assert np.allclose(cut["region-region"], [[1 / 3, 1 / 3, 1 / 3], [1 / 3, 1 / 3, 1 / 3], [0, 0.5, 0.5]])


def test_a_single_stream_is_found_by_its_names() -> None:
    layers = [
        torch.randn(1, 2, 7, 7, generator=torch_generator("attending", name)).softmax(-1)
        for name in ("first", "second")
    ]
    found = by_kind({"layers.0.attention": layers[:1], "layers.1.attention": layers[1:]}, words=3)
    shapes = {kind: maps.weights.shape for kind, maps in found.items()}
    assert shapes == {
        "word-region": (2, 2, 3, 4),
        "region-word": (2, 2, 4, 3),
        "word-word": (2, 2, 3, 3),
        "region-region": (2, 2, 4, 4),
    }
    for maps in found.values():
        assert maps.layers == ("layer 1", "layer 2")
        np.testing.assert_allclose(maps.weights.sum(-1), 1, atol=1e-6)
    second = layers[1][0, :, :3, 3:].numpy()
    np.testing.assert_allclose(found["word-region"].weights[1], second / second.sum(-1, keepdims=True), atol=1e-6)


def test_a_studio_of_a_single_stream_attends_too() -> None:
    bundle = tiny_bundle()
    config = bundle.model.config
    shared = {field.name for field in dataclasses.fields(UniterConfig)} & set(config.to_dict())
    model = Uniter(UniterConfig(**{name: getattr(config, name) for name in shared}, layers=2)).eval()
    assert model.config.codes == CODES and bundle.vocabulary is not None
    model.load_centroids(bundle.vocabulary.codebook.centroids)
    found = Studio(Bundle(model, bundle.tokenizer, bundle.vocabulary, answers=bundle.answers), "cpu").attend(
        PICTURE, SENTENCE
    )
    assert {kind: maps.weights.shape for kind, maps in found.kinds.items()} == {
        "word-region": (2, 2, 8, 64),
        "region-word": (2, 2, 64, 8),
        "word-word": (2, 2, 8, 8),
        "region-region": (2, 2, 64, 64),
    }
    assert all(np.allclose(maps.weights.sum(-1), 1, atol=1e-5) for maps in found.kinds.values())


def test_unknown_names_and_a_disturbed_reading_are_refused(studio: Studio) -> None:
    weights = torch.full((1, 1, 2, 2), 0.5)
    with pytest.raises(XlxmertError, match=r"found \['blocks.0.attention'\]"):
        by_kind({"blocks.0.attention": [weights]}, 1)
    with pytest.raises(XlxmertError, match=r"expected 2 call.* of cross_layers.0.cross .* found 3"):
        by_kind({"cross_layers.0.cross": [weights] * 3}, 2)
    assert by_kind({"layers.0.attention": [weights], "codebook.0.attention": []}, 1).keys() == set(KINDS)
    with watched(studio.bundle.model) as seen:
        pass
    assert {len(calls) for calls in seen.values()} == {0}


def test_panels_are_layers_or_heads_and_by_default_means() -> None:
    found = made_up()
    weights = found.kinds["word-region"].weights
    both = found.panels("word-region")
    assert [panel.title for panel in both] == [f"word to region, layer {n}, mean of 3 heads" for n in (1, 2)]
    np.testing.assert_allclose(both[1].weights, weights[1].mean(0), atol=1e-6)
    (one,) = found.panels("word-region", layer=2, head=3)
    assert one.title == "word to region, layer 2, head 3" and np.array_equal(one.weights, weights[1, 2])
    each = found.panels("word-region", layer=1, each_head=True)
    assert [panel.title[-6:] for panel in each] == ["head 1", "head 2", "head 3"]
    assert all(np.array_equal(panel.weights, one) for panel, one in zip(each, weights[0], strict=True))
    assert all(
        np.array_equal(panel.weights, weights[n, 1]) for n, panel in enumerate(found.panels("word-region", head=2))
    )


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"kind": "word-cell"}, "found 'word-cell'"),
        ({"kind": "word-word", "layer": 0}, "a layer from 1 to 2 for word-word, found 0"),
        ({"kind": "word-word", "layer": 3}, "a layer from 1 to 2 for word-word, found 3"),
        ({"kind": "word-word", "head": 4}, "a head from 1 to 3 for word-word, found 4"),
        ({"kind": "word-word", "each_head": True}, "found no layer"),
        ({"kind": "word-word", "layer": 1, "head": 1, "each_head": True}, "found head 1 as well"),
    ],
)
def test_choices_that_do_not_exist_are_refused(choice: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        made_up().panels(**choice)  # type: ignore[arg-type]


def test_places_are_named_as_a_reader_counts() -> None:
    found = made_up()
    assert found.name("word", 2) == "w2" and found.name("region", 3) == "row 2, column 2"


def test_heat_lies_on_the_cells_that_are_looked_at() -> None:
    white = np.full((32, 32, 3), 255, np.uint8)
    weights = np.zeros(16, np.float32)
    weights[6], weights[9] = 0.8, 0.2  # row 2, column 3 and row 3, column 2
    tile = heat_tile(white, weights, 0.8, side=80).astype(int)
    cells = tile.reshape(4, 20, 4, 20, 3)[:, 5:15, :, 5:15].mean((1, 3)).reshape(16, 3)
    cold = [place for place in range(16) if place not in (6, 9)]
    assert (cells[cold] > 250).all()
    redness = cells[:, 0] - cells[:, 2]
    assert redness[6] > redness[9] > redness[cold].max() + 20
    assert (heat_tile(white, weights, 1e9, side=80)[5:-5, 5:-5] > 250).all()  # far from full: no heat


def test_the_strongest_links_leave_out_looks_at_oneself() -> None:
    weights = np.array([[0.9, 0.1, 0.0], [0.3, 0.2, 0.5], [0.0, 0.4, 0.6]], np.float32)
    links = strongest_links(weights, 3)
    assert [(a, b) for a, b, _ in links] == [(1, 0), (2, 1), (1, 2)]
    assert [weight for *_, weight in links] == pytest.approx([0.3, 0.4, 0.5])
    assert len(strongest_links(weights, 99)) == 4 and strongest_links(np.eye(4, dtype=np.float32)) == []


@pytest.mark.parametrize(("words", "grid"), [(2, 1), (3, 2), (30, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_and_more_maps_take_more_room(kind: str, words: int, grid: int) -> None:
    found = made_up(words, grid)
    one, all_heads = (found.panels(kind, 1), found.panels(kind, 1, each_head=True))
    single, sheet = draw_attention(found, kind, one), draw_attention(found, kind, all_heads)
    assert single.dtype == sheet.dtype == np.uint8 and sheet.size > 2 * single.size
    assert len(np.unique(single)) > 5


def test_a_drawing_shows_the_weights() -> None:
    found, other = made_up(), made_up()
    other.kinds["word-word"].weights[:] = other.kinds["word-word"].weights[..., ::-1].copy()
    other.kinds["region-region"].weights[:] = other.kinds["region-region"].weights[..., ::-1].copy()
    for kind in ("word-word", "region-region"):
        first, second = (draw_attention(maps, kind, maps.panels(kind, 1)) for maps in (found, other))
        assert first.shape == second.shape and not np.array_equal(first, second)

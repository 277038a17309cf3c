"""Properties of the image generator and its discriminator."""

import dataclasses
import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.errors import XlxmertError
from xlxmert.models.generator import (
    Discriminator,
    DiscriminatorConfig,
    Generator,
    GeneratorConfig,
    global_noise,
    grid_map,
    seeded_noise,
)
from xlxmert.models.generator.layers import SpectralConv2d
from xlxmert.models.generator.model import Spade, UpBlock
from xlxmert.models.generator.presets import (
    PAPER,
    PAPER_DISCRIMINATOR,
    TINY,
    TINY_DISCRIMINATOR,
    WORLD,
    WORLD_DISCRIMINATOR,
    opponent_of,
)

VARIANTS = {
    "paper-like": TINY,
    "no spectral norm": dataclasses.replace(TINY, spectral=False),
    "no bottleneck": dataclasses.replace(TINY, bottleneck=0),
    "half modulated": dataclasses.replace(TINY, modulated=1, rest="instance"),
    "world-like": dataclasses.replace(
        TINY, modulated=1, upsample_late=True, head="running", head_kernel=1, spectral=False, noise=False
    ),
    "cells' own patches": dataclasses.replace(TINY, patches=True, spectral=False),
    "sub-pixel skip": dataclasses.replace(TINY, skip="subpixel"),
    "small modulation": dataclasses.replace(TINY, modulation_size=8),
    "never modulated": dataclasses.replace(TINY, modulated=0),
}


def count(module: nn.Module) -> int:
    """Number of trained parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def tiny(config: GeneratorConfig = TINY, strength: float = 0.5) -> Generator:
    """A generator in evaluation mode whose noise can be heard."""
    torch.manual_seed(0)
    generator = Generator(config).eval()
    for name, parameter in generator.named_parameters():
        if "noise" in name:
            nn.init.constant_(parameter, strength)
        elif name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
    return generator


def features(batch: int = 3) -> torch.Tensor:
    """Random features for TINY."""
    return torch.randn(batch, TINY.feature_width, 8, 8, generator=torch.Generator().manual_seed(1))


def test_paper_presets_have_the_papers_size() -> None:
    with torch.device("meta"):
        generator, discriminator = Generator(PAPER), Discriminator(PAPER_DISCRIMINATOR)
    assert count(generator) == 1_771_417
    assert count(discriminator) == 572_753
    assert discriminator.centroids.numel() == 20_480_000
    assert PAPER.size == 256


def test_world_preset_is_small_and_paints_256_pixels() -> None:
    with torch.device("meta"):
        generator, discriminator = Generator(WORLD), Discriminator(WORLD_DISCRIMINATOR)
        without = Generator(dataclasses.replace(WORLD, codes=0))  # a table cannot be read without memory
        picture = without(torch.empty(2, WORLD.feature_width, 8, 8))
        judgement = discriminator(picture)
    assert count(generator) < 4_000_000
    assert picture.shape == (2, 3, 256, 256)
    assert judgement.codes.shape == (2, 64, WORLD_DISCRIMINATOR.codes)


@pytest.mark.parametrize("name", VARIANTS)
def test_pictures_have_the_derived_size_and_range_and_every_weight_learns(name: str) -> None:
    generator = tiny(VARIANTS[name]).train()
    picture = generator(features(), seeds=[1, 2, 3])
    assert picture.shape == (3, 3, 32, 32)
    assert picture.abs().max() <= 1
    picture.square().mean().backward()
    silent = [n for n, p in generator.named_parameters() if p.grad is None or not p.grad.abs().any()]
    assert silent == []


@pytest.mark.parametrize("name", VARIANTS)
def test_folding_spectral_norm_away_changes_no_picture(name: str) -> None:
    generator = tiny(VARIANTS[name])
    folded = generator.folded()
    assert not any(isinstance(part, SpectralConv2d) for part in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(features(), [4, 5, 6]), generator(features(), [4, 5, 6]), atol=1e-5, rtol=0)
    again = Generator(folded.config)
    again.load_state_dict(folded.state_dict())


def test_folding_keeps_the_training_mode_and_the_weights() -> None:
    generator = tiny().train()
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    generator.folded()
    assert all(part.training for part in generator.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator.state_dict().items())


def test_a_picture_is_the_same_alone_and_in_any_batch() -> None:
    generator = tiny()
    with torch.no_grad():
        together = generator(features(), seeds=[11, 12, 13])
        alone = generator(features()[1:2], seeds=[12])
    torch.testing.assert_close(alone[0], together[1], atol=1e-5, rtol=0)


def test_noise_belongs_to_its_seed() -> None:
    generator, same = tiny(), features(1).expand(3, -1, -1, -1)
    with torch.no_grad():
        one, two, other = generator(same, seeds=[1, 1, 2])
        silent = generator(same)
    assert torch.equal(seeded_noise([7])(1, 16), seeded_noise([7])(1, 16))
    torch.testing.assert_close(one, two, atol=1e-5, rtol=0)
    assert (one - other).abs().max() > 0.01
    assert (one - silent[0]).abs().max() > 0.01


def test_noise_can_come_from_the_global_generator() -> None:
    generator = tiny()
    with torch.no_grad():
        torch.manual_seed(3)
        first = generator(features(), noise=global_noise)
        torch.manual_seed(3)
        assert torch.equal(generator(features(), noise=global_noise), first)
        assert not torch.equal(generator(features(), noise=global_noise), first)


def test_merged_and_shared_modulation_equals_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = tiny()
    with torch.no_grad():
        fast = generator(features())

    def plain(self: Spade, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        gamma, beta = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)
        for part, weight, bias in zip(
            (gamma, beta), self.modulation.weight.chunk(2), self.modulation.bias.chunk(2), strict=True
        ):
            part.weight, part.bias, part.padding = nn.Parameter(weight), nn.Parameter(bias), (1, 1)
        hidden = F.relu(self.shared(condition))
        mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, correction=0)
        return (x - mean) / (variance + 1e-5).sqrt() * (1 + gamma(hidden)) + beta(hidden)

    monkeypatch.setattr(Spade, "forward", plain)
    with torch.no_grad():
        torch.testing.assert_close(generator(features()), fast, atol=1e-5, rtol=0)


def test_the_skip_convolution_commutes_with_the_upsampling() -> None:
    block = tiny().blocks[0]
    assert isinstance(block, UpBlock)
    x = torch.randn(2, 8, 8, 8)
    with torch.no_grad():
        early = F.interpolate(block.skip(x), scale_factor=2, mode="bilinear")
        late = block.skip(F.interpolate(x, scale_factor=2, mode="bilinear"))
    torch.testing.assert_close(early, late, atol=1e-5, rtol=0)


def test_a_limit_above_the_picture_leaves_the_modulation_as_it_is() -> None:
    config = dataclasses.replace(TINY, modulation_size=32)
    limited, free = tiny(config), tiny()
    with torch.no_grad():
        assert torch.equal(limited(features()), free(features()))


def test_spectral_norm_brings_the_largest_singular_value_to_one() -> None:
    torch.manual_seed(0)
    layer = SpectralConv2d(6, 10, 3, padding=1)
    with torch.no_grad():
        for _ in range(100):
            layer(torch.randn(1, 6, 4, 4))
        largest = torch.linalg.svdvals(layer.eval().normalised().flatten(1))[0]
    assert largest.item() == pytest.approx(1, abs=1e-3)


def test_power_iteration_runs_in_training_only() -> None:
    layer = SpectralConv2d(6, 10, 3)
    before = layer.u.clone()
    layer.eval()(torch.randn(1, 6, 4, 4))
    assert torch.equal(layer.u, before)
    layer.train()(torch.randn(1, 6, 4, 4))
    assert not torch.equal(layer.u, before)


def test_spectral_norm_stays_in_full_precision_under_autocast() -> None:
    layer = SpectralConv2d(6, 10, 3).eval()
    exact = layer.normalised()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.normalised(), exact)


def test_colours_of_flat_pictures_survive_the_instance_norms() -> None:
    torch.manual_seed(0)
    generator = Generator(VARIANTS["world-like"])
    target = (torch.rand(4, 3, 1, 1) * 1.6 - 0.8).expand(-1, -1, 32, 32)
    codes = torch.randn(4, TINY.feature_width, 1, 1).expand(-1, -1, 8, 8).contiguous()
    optimiser = torch.optim.Adam(generator.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        loss = (generator(codes) - target).abs().mean()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1


def test_grid_map_is_row_major() -> None:
    cells = torch.arange(2 * 16 * 3).reshape(2, 16, 3).float()
    assert torch.equal(grid_map(cells)[1, :, 2, 3], cells[1, 2 * 4 + 3])
    with pytest.raises(XlxmertError, match=r"square grid, found 15"):
        grid_map(cells[:, :15])


def test_features_of_another_codebook_are_refused() -> None:
    with pytest.raises(XlxmertError, match=r"\(12, 8, 8\) \(found \(13, 8, 8\)\)"):
        tiny()(torch.zeros(1, 13, 8, 8))
    with pytest.raises(XlxmertError, match=r"expected 3 seeds, one per picture \(found 2\)"):
        tiny()(features(), seeds=[1, 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature_width": 0}, "feature_width must be a whole number of at least 1"),
        ({"widths": ()}, "widths must name at least one block"),
        ({"widths": (8, 0)}, "every entry of widths"),
        ({"spade_hidden": (8,)}, "one per block"),
        ({"modulated": 3}, "must not exceed 2 blocks"),
        ({"stem": 6}, "stem must be a multiple of groups=4"),
        ({"bottleneck": 0, "feature_width": 13}, "bottleneck must be a multiple"),
        ({"modulation_size": -1}, "modulation_size must be a whole number"),
    ],
)
def test_impossible_generators_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(XlxmertError, match=message):
        dataclasses.replace(TINY, **change)


@pytest.mark.parametrize("change", [{"head": "bent"}, {"head_kernel": 2}, {"rest": "some"}, {"skip": "none"}])
def test_unknown_choices_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(
        (XlxmertError, TypeError), match=next(iter(change))
    ):  # the type checker may be the first to see it
        dataclasses.replace(TINY, **change)


@pytest.mark.parametrize("config", [PAPER, WORLD, TINY, dataclasses.replace(TINY, spade_hidden=(8, 4))])
def test_configs_survive_json(config: GeneratorConfig) -> None:
    assert GeneratorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_fields_are_named() -> None:
    with pytest.raises(XlxmertError, match="found colour"):
        GeneratorConfig.from_dict({"colour": 3})


def test_discriminator_configs_survive_json_and_check_themselves() -> None:
    config = WORLD_DISCRIMINATOR
    assert DiscriminatorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(XlxmertError, match="codes must be"):
        DiscriminatorConfig(codes=0)


def test_the_discriminator_judges_every_picture_and_every_cell() -> None:
    torch.manual_seed(0)
    discriminator, pictures = Discriminator(TINY_DISCRIMINATOR).eval(), torch.rand(3, 3, 32, 32) * 2 - 1
    discriminator.set_centroids(torch.randn(20, 12))
    with torch.no_grad():
        judgement, alone = discriminator(pictures), discriminator(pictures[2:])
    assert judgement.real.shape == (3,)
    assert judgement.codes.shape == (3, 64, 20)
    assert [m.shape[-1] for m in judgement.maps] == [16, 8, 8]
    torch.testing.assert_close(alone.real[0], judgement.real[2], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [PAPER, WORLD, TINY, dataclasses.replace(TINY, widths=(8,) * 6, grid=4)])
def test_an_opponent_ends_on_the_generators_grid(shape: GeneratorConfig) -> None:
    config = opponent_of(shape, codes=7)
    with torch.device("meta"):
        judgement = Discriminator(config)(torch.empty(2, 3, shape.size, shape.size))
    assert config.feature_width == shape.feature_width
    assert judgement.codes.shape == (2, shape.grid**2, 7)


def test_the_codebook_in_the_classifier_is_frozen() -> None:
    torch.manual_seed(0)
    discriminator, centroids = Discriminator(TINY_DISCRIMINATOR), torch.randn(20, 12)
    discriminator.set_centroids(centroids)
    discriminator(torch.randn(2, 3, 32, 32)).codes.square().mean().backward()
    assert torch.equal(discriminator.centroids, centroids)
    assert not discriminator.centroids.requires_grad
    assert discriminator.code_bias.grad is not None


def test_a_cells_own_patch_shows_in_its_cell_alone() -> None:
    config = dataclasses.replace(TINY, patches=True, spectral=False, noise=False)
    generator = Generator(config).eval()
    assert generator.patches is not None and config.patch == 4
    with torch.no_grad():
        for head in generator.heads:
            for parameter in head.parameters():
                parameter.zero_()
        features = torch.zeros(1, TINY.feature_width, 8, 8)
        features[0, :, 2, 5] = 1.0
        picture = generator(features)[0]
    lit = picture.abs().sum(0) > 0
    assert bool(lit[8:12, 20:24].all()) and int(lit.sum()) == 16


LOOKS = dataclasses.replace(TINY, codes=20, look=12, patches=True, spectral=False, noise=False)


def test_looks_and_patches_begin_as_the_codes_mean_patches() -> None:
    generator = Generator(LOOKS).eval()
    with torch.no_grad():
        for head in generator.heads:
            for parameter in head.parameters():
                parameter.zero_()
    simple = torch.rand(20, 1, 1, 1) * torch.randn(3, 4, 4).tanh()  # one principal component
    generator.start_from(simple, torch.ones(20))
    codes = torch.arange(64)[None] % 20
    with torch.no_grad():
        picture = generator(features(1), codes=codes)[0]
    for cell in (0, 13, 63):
        row, column = divmod(cell, 8)
        found = picture[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        torch.testing.assert_close(found, simple[cell % 20], atol=0.05, rtol=0)


def test_a_generator_with_looks_needs_the_codes() -> None:
    generator = Generator(LOOKS)
    with pytest.raises(XlxmertError, match=r"codes below 20 .*found no codes"):
        generator(features(1))
    with pytest.raises(XlxmertError, match="found the code 20"):
        generator(features(1), codes=torch.full((1, 64), 20))
    with pytest.raises(XlxmertError, match="expected a generator with looks and patches"):
        Generator(TINY).start_from(torch.zeros(20, 3, 4, 4), torch.ones(20))

"""Named sizes of generator and discriminator, each beside what it costs."""

from dataclasses import replace

from xlxmert.models.generator.config import DiscriminatorConfig, GeneratorConfig

PAPER = GeneratorConfig()
"""X-LXMERT's generator, 1,771,417 parameters (appendix D.1: 1.7 M); 2048 features on 8x8 to 256x256."""

PAPER_DISCRIMINATOR = DiscriminatorConfig()
"""X-LXMERT's discriminator, 572,753 trained parameters and 20,480,000 frozen ones (appendix D.2: 0.5 M)."""

WORLD = GeneratorConfig(
    feature_width=96,
    bottleneck=192,
    groups=1,
    stem=128,
    condition=64,
    trunk=1,
    widths=(128, 96, 64, 32, 16),
    modulated=3,
    spade_hidden=48,
    modulation_size=32,
    skip="subpixel",
    upsample_late=True,
    head="running",
    head_kernel=1,
    codes=1024,
    patches=True,
    spectral=False,
    noise=False,
)
"""For the built-in world on two CPU cores: 2.4 M parameters, 0.65 s to train on 16 pictures (bf16, two cores).

Chosen by what 50 seconds of training reach on other pictures: 22.1 dB; with a third more channels (0.93 s a step)
21.3 dB, and of these without the cells' own patches 20.8 dB. Learning 8 pictures by heart told the rest: sub-pixel
skips instead of interpolated ones gain 1.4 dB, an ungrouped stem 1.1 dB, SPADE 2.6 dB over instance norm; a second
trunk block nothing.
"""

WORLD_DISCRIMINATOR = DiscriminatorConfig(
    feature_width=192, codes=1024, widths=(24, 48, 64, 96, 128, 128), normalised_from=2
)
"""WORLD's opponent; no norm in the two largest blocks, where it costs more than the convolutions."""


def opponent_of(generator: GeneratorConfig, codes: int) -> DiscriminatorConfig:
    """A discriminator whose last map has the generator's grid: the paper's for the paper's, else of WORLD's widths."""
    if generator.widths == PAPER.widths:
        return replace(PAPER_DISCRIMINATOR, feature_width=generator.feature_width, codes=codes)
    blocks = len(generator.widths) + 1
    widths = WORLD_DISCRIMINATOR.widths[-blocks:]
    widths = (widths[0],) * (blocks - len(widths)) + widths
    skipped = max(0, WORLD_DISCRIMINATOR.normalised_from - (len(WORLD_DISCRIMINATOR.widths) - blocks))
    return DiscriminatorConfig(generator.feature_width, codes, widths, normalised_from=skipped)


TINY = GeneratorConfig(
    feature_width=12, bottleneck=16, stem=8, condition=8, widths=(8, 8), spade_hidden=8, groups=4, trunk=1, grid=8
)
"""For tests: 8x8 features of width 12 to 32x32."""

TINY_DISCRIMINATOR = DiscriminatorConfig(feature_width=12, codes=20, widths=(8, 8, 8))
"""TINY's opponent: 32x32 to 8x8."""

PRESETS = {"paper": PAPER, "world": WORLD, "tiny": TINY}
"""The generator's presets by name, as recipes and the command line know them."""

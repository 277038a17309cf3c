"""Named sizes of generator and discriminator, each beside what it costs."""

from xlxmert.models.generator.config import DiscriminatorConfig, GeneratorConfig

PAPER = GeneratorConfig()
"""X-LXMERT's generator, 1,771,417 parameters (appendix D.1: 1.7 M); 2048 features on 8x8 to 256x256."""

PAPER_DISCRIMINATOR = DiscriminatorConfig()
"""X-LXMERT's discriminator, 572,753 trained parameters and 20,480,000 frozen ones (appendix D.2: 0.5 M)."""

WORLD = GeneratorConfig(
    feature_width=192,
    bottleneck=256,
    stem=192,
    condition=64,
    trunk=1,
    widths=(192, 128, 96, 48, 24),
    modulated=3,
    spade_hidden=64,
    upsample_late=True,
    head="running",
    head_kernel=1,
    spectral=False,
    noise=False,
)
"""For the built-in world on two CPU cores."""

WORLD_DISCRIMINATOR = DiscriminatorConfig(
    feature_width=192, codes=1024, widths=(24, 48, 64, 96, 128, 128), normalised_from=2
)
"""WORLD's opponent."""

TINY = GeneratorConfig(
    feature_width=12, bottleneck=16, stem=8, condition=8, widths=(8, 8), spade_hidden=8, groups=4, trunk=1, grid=8
)
"""For tests: 8x8 features of width 12 to 32x32."""

TINY_DISCRIMINATOR = DiscriminatorConfig(feature_width=12, codes=20, widths=(8, 8, 8))
"""TINY's opponent: 32x32 to 8x8."""

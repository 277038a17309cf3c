"""Every sampler, in several settings: what the properties of all of them are tested on."""

from xlxmert.sampling import (
    EasyFirst,
    EntropyBound,
    Halton,
    MaskGIT,
    MaskPredict,
    Moment,
    RandomOrder,
    Raster,
    ReMDM,
    Revised,
)

SCHEDULED = [
    MaskGIT(),
    MaskGIT(steps=5, schedule="arccos", token_temperature=0.0, choice_temperature=0.0),
    MaskGIT(steps=8, schedule="linear", top_k=3, top_p=0.8),
    MaskGIT(steps=6, token_temperature=1.5, end_temperature=0.0),
    Moment(steps=7),
    Moment(steps=4, token_temperature=0.0, end_temperature=0.8, top_k=4, choice_temperature=2.0),
    Halton(steps=12),
    Halton(steps=5, schedule="cosine", token_temperature=0.5, end_temperature=1.2, top_p=0.9, rolled=False),
    ReMDM(steps=12),
    ReMDM(steps=20, schedule="linear", token_temperature=0.7, rescale=1.0, cap=1.0, top_k=6),
    ReMDM(steps=6, rescale=0.0),
]
"""Those whose hidden cells follow a schedule."""
ADAPTIVE = [EntropyBound(), EntropyBound(gamma=6.0, token_temperature=0.6), EntropyBound(gamma=0.0, most_steps=9)]
"""Those whose number of steps depends on the pictures."""
REVISED = [
    Revised(MaskGIT(4)),
    Revised(MaskPredict(3), rounds=1, share=0.5, looks=3, again=MaskGIT(3, choice_temperature=0.0)),
    Revised(EntropyBound(gamma=9.0), rounds=1),
    Revised(Revised(Halton(5), rounds=1), rounds=1, looks=2),
]
"""Those that paint and then paint again."""
SAMPLERS = [
    MaskPredict(1),
    MaskPredict(4),
    *SCHEDULED,
    *ADAPTIVE,
    *REVISED,
    Raster(),
    Raster(temperature=1.0),
    RandomOrder(),
    RandomOrder(sweeps=2.1875, temperature=0.7),
    EasyFirst(),
    EasyFirst(temperature=1.0, top_k=5),
]
"""All of them."""

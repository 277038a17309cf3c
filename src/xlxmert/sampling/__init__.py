"""Floor 2: samplers, which know only ``tokens → logits`` and paint pictures, edit regions and write sentences alike."""

from xlxmert.sampling.autoregressive import Decoding, Hypothesis, NextWord
from xlxmert.sampling.beam import Beam, DiverseBeam
from xlxmert.sampling.entropy_bound import EntropyBound
from xlxmert.sampling.guidance import Guidance, mix
from xlxmert.sampling.halton import Halton
from xlxmert.sampling.mask_predict import MaskPredict
from xlxmert.sampling.maskgit import MaskGIT
from xlxmert.sampling.moment import Moment
from xlxmert.sampling.one_by_one import EasyFirst, RandomOrder, Raster
from xlxmert.sampling.paint import AnySampler, last, paint
from xlxmert.sampling.remdm import ReMDM
from xlxmert.sampling.revised import Revised
from xlxmert.sampling.steps import Network, Sampler, Step
from xlxmert.sampling.word_by_word import Greedy, Nucleus

__all__ = [
    "AnySampler",
    "Beam",
    "Decoding",
    "DiverseBeam",
    "EasyFirst",
    "EntropyBound",
    "Greedy",
    "Guidance",
    "Halton",
    "Hypothesis",
    "MaskGIT",
    "MaskPredict",
    "Moment",
    "Network",
    "NextWord",
    "Nucleus",
    "RandomOrder",
    "Raster",
    "ReMDM",
    "Revised",
    "Sampler",
    "Step",
    "last",
    "mix",
    "paint",
]

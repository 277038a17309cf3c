"""Floor 2: samplers, which know only ``tokens → logits`` and paint pictures, edit regions and write sentences alike."""

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

__all__ = [
    "AnySampler",
    "EasyFirst",
    "EntropyBound",
    "Guidance",
    "Halton",
    "MaskGIT",
    "MaskPredict",
    "Moment",
    "Network",
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

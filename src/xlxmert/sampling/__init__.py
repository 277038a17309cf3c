"""Floor 2: samplers, which know only ``tokens → logits`` and paint pictures, edit regions and write sentences alike."""

from xlxmert.sampling.guidance import Guidance, mix
from xlxmert.sampling.mask_predict import MaskPredict
from xlxmert.sampling.maskgit import MaskGIT
from xlxmert.sampling.one_by_one import EasyFirst, RandomOrder, Raster
from xlxmert.sampling.paint import AnySampler, last, paint
from xlxmert.sampling.steps import Network, Sampler, Step

__all__ = [
    "AnySampler",
    "EasyFirst",
    "Guidance",
    "MaskGIT",
    "MaskPredict",
    "Network",
    "RandomOrder",
    "Raster",
    "Sampler",
    "Step",
    "last",
    "mix",
    "paint",
]

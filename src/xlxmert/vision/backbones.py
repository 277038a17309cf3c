"""Backbones by name: the one that is shipped, one from a file, or any of the ``transformers`` library."""

from xlxmert.vision.backbone import Backbone, load_backbone
from xlxmert.vision.network import PictureNetwork
from xlxmert.vision.transformers_backbone import PREFIX, load_transformers


def open_backbone(name: str = Backbone.name, deepest: int = 16) -> PictureNetwork:
    """The frozen network of a name.

    Args:
        name: a shipped one, a safetensors file of such a one, or ``hf:`` and a name or a folder of ``transformers``.
        deepest: the largest stride that is needed; a shipped backbone is built no deeper.

    Raises:
        UsageError: there is no such backbone.
        XlxmertError: its files are missing, damaged or of another network.
    """
    return load_transformers(name) if name.startswith(PREFIX) else load_backbone(name, max(deepest, 2))

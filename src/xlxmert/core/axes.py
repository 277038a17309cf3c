"""The axis legend of the project and the tensor types that carry it.

Public functions annotate tensors as ``Float[Tensor, "B N D"]``. One letter, one meaning, everywhere:

====  =====================================================
B     batch: pictures, sentences or pairs of both
T     text tokens
N     visual tokens: grid cells (row-major) or boxes
D     width of the transformer
F     width of a visual feature
V     words in the vocabulary
K     codes in the visual vocabulary
H     attention heads
====  =====================================================

Boxes are ``x0 y0 x1 y1`` in [0, 1]. Pixels are uint8 RGB ``(height, width, 3)`` at public doors and float in [-1, 1]
``(3, height, width)`` inside.
Shapes are checked while the tests run (jaxtyping's import hook) and cost nothing elsewhere.
"""

from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

__all__ = ["Bool", "Float", "Int", "Tensor", "UInt8"]

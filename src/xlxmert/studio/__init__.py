"""Floor 4: what a user can ask for: paint, edit, caption, answer, verify, match, retrieve, a gallery of it all."""

from xlxmert.studio.describer import Describer
from xlxmert.studio.options import PaintOptions
from xlxmert.studio.results import Answer, Caption, Edited, Frame, Hit, Painting, Retrieval
from xlxmert.studio.studio import Studio

__all__ = [
    "Answer",
    "Caption",
    "Describer",
    "Edited",
    "Frame",
    "Hit",
    "PaintOptions",
    "Painting",
    "Retrieval",
    "Studio",
]

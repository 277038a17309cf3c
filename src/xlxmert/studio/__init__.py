"""Floor 4: what a user can ask for: paint, caption, answer, verify, match, retrieve, rebuild, a gallery of it all."""

from xlxmert.studio.options import PaintOptions
from xlxmert.studio.results import Answer, Caption, Frame, Hit, Painting, Retrieval
from xlxmert.studio.studio import Studio

__all__ = ["Answer", "Caption", "Frame", "Hit", "PaintOptions", "Painting", "Retrieval", "Studio"]

"""Floor 4: what a user can ask for: paint, caption, answer, match, rebuild, and a gallery of it all."""

from xlxmert.studio.results import Answer, Caption, Frame, Painting
from xlxmert.studio.studio import Studio

__all__ = ["Answer", "Caption", "Frame", "Painting", "Studio"]

"""Tables as pictures: one bar per row, with its spread over seeds, and the paper's number written beside it."""

from collections.abc import Sequence
from pathlib import Path

from xlxmert.core.files import atomic_path
from xlxmert.recipes.tables.rows import Column, Row, Scores


def plot(
    path: Path, title: str, rows: Sequence[Row], scores: Sequence[Scores], columns: Sequence[Column], paper: str
) -> None:
    """Write a PNG: a panel per column, a bar per row; shares in per cent.

    Args:
        path: the file.
        title: above all panels.
        rows: from top to bottom.
        scores: theirs.
        columns: what is shown; rows without a score get no bar.
        paper: the paper's column that is written beside each row's name.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    height = 0.9 + 0.34 * len(rows)
    figure, panels = pyplot.subplots(
        1, len(columns), figsize=(4.2 + 2.4 * len(columns), height), sharey=True, squeeze=False, layout="constrained"
    )
    places = range(len(rows))
    for panel, column in zip(panels[0], columns, strict=True):
        scale = 100 if column.share else 1 / column.unit
        values = [scale * found.get(column.score, 0.0) for found in scores]
        spread = [scale * found.get(f"{column.score}/deviation", 0.0) for found in scores]
        bars = panel.barh(places, values, xerr=spread if any(spread) else None, color="#4477aa", height=0.66)
        told = [f"{v:.1f}" if column.score in found else "–" for v, found in zip(values, scores, strict=True)]
        panel.bar_label(bars, told, padding=3)
        if column.share:
            panel.set_title(f"{column.title}, %", fontsize=10)
            panel.set(xlim=(0, 112), xticks=range(0, 101, 25))
        else:
            panel.set_title(column.title, fontsize=10)
            panel.set(xlim=(0, 1.2 * max(*values, 1e-9)))
        panel.spines[["top", "right"]].set_visible(False)
    names = [f"{row.shown}   [{row.paper[paper]}]" if row.paper.get(paper) else row.shown for row in rows]
    panels[0][0].set_yticks(places, names)
    panels[0][0].invert_yaxis()
    figure.suptitle(f"{title}; in brackets the paper's {paper}", fontsize=11)
    with atomic_path(path) as part:
        figure.savefig(part, format="png", dpi=110)
    pyplot.close(figure)

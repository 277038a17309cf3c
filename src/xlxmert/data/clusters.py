"""X-LXMERT's codes and centroids, as its k-means script writes them (github.com/allenai/x-lxmert, feature_extraction).

``…_centroids10000_iter20_d2048_grid8.npy`` holds the centroids, ``…_img_id_to_cluster_id_10000_iter20_d2048_grid8.pkl``
the codes of every picture of a data set. The pickle is read without running anything in it.
"""

from pathlib import Path

import numpy as np

from xlxmert.core.axes import Float
from xlxmert.core.errors import XlxmertError
from xlxmert.core.pickled import read_plain_pickle
from xlxmert.data.entries import brief

MOST_CODES = 2**16
"""What the store's 16 bits can tell apart."""
_AGAIN = "the file was made with another codebook or is something else; take the codes and centroids of one run"


def read_cluster_ids(path: Path, codes: int = MOST_CODES) -> dict[str, np.ndarray]:
    """The codes of each picture, by the stem of its file: (N,) uint16, cells row by row.

    Args:
        path: the pickle.
        codes: how many centroids there are.

    Raises:
        XlxmertError: the file is missing, cut short or of another format, would run something, or a code is not below
            ``codes``.
    """
    content = read_plain_pickle(path)
    if not isinstance(content, dict) or not content:
        found = brief(content) if isinstance(content, dict | list | str) else f"a {type(content).__name__}"
        raise XlxmertError(f"expected codes by picture in {path}, found {found}: {_AGAIN}")
    cells = 0
    found_codes: dict[str, np.ndarray] = {}
    for name, row in content.items():
        if not isinstance(name, str | int):
            raise XlxmertError(f"expected the names of pictures in {path}, found {brief(name)}: {_AGAIN}")
        if not isinstance(row, np.ndarray) or row.dtype.kind not in "iu" or row.ndim != 1 or not len(row):
            what = f"{row.dtype} {row.shape}" if isinstance(row, np.ndarray) else brief(row)
            raise XlxmertError(
                f"expected a row of whole numbers for picture {name!r} in {path}, found {what}: {_AGAIN}"
            )
        cells = cells or len(row)
        if len(row) != cells:
            raise XlxmertError(f"expected {cells} codes for picture {name!r} in {path}, found {len(row)}: {_AGAIN}")
        if row.min() < 0 or row.max() >= codes:
            wrong = row.min() if row.min() < 0 else row.max()
            raise XlxmertError(f"codes must be below {codes} (found {wrong} for {name!r} in {path}): {_AGAIN}")
        found_codes[str(name)] = row.astype(np.uint16)
    return found_codes


def read_centroids(path: Path) -> Float[np.ndarray, "K F"]:
    """The centroids, in single precision.

    Raises:
        XlxmertError: the file is missing, cut short, no array of numbers or would run something, or a number is not
            finite.
    """
    try:
        centroids = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise XlxmertError(f"expected centroids at {path}, found nothing: check the path") from error
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).replace("\n", " ")
        raise XlxmertError(
            f"expected centroids as an array in {path}, found a file that cannot be read ({reason[:120]}): "
            "it was cut short or is something else; download it again"
        ) from error
    if (
        not isinstance(centroids, np.ndarray)
        or centroids.ndim != 2
        or centroids.dtype.kind != "f"
        or not centroids.size
    ):
        found = f"{centroids.dtype} {centroids.shape}" if isinstance(centroids, np.ndarray) else "several arrays"
        raise XlxmertError(f"expected centroids (K, F) as floats in {path}, found {found}: {_AGAIN}")
    if len(centroids) > MOST_CODES or not np.isfinite(centroids).all():
        what = "numbers that are not finite" if len(centroids) <= MOST_CODES else f"{len(centroids)} of them"
        raise XlxmertError(f"expected at most {MOST_CODES} finite centroids in {path}, found {what}: fit them again")
    whole: np.ndarray = np.ascontiguousarray(centroids, np.float32)
    return whole

"""The visual vocabulary's code table: k-means centroids that turn features into codes and codes back into features."""

import hashlib
from pathlib import Path

import numpy as np
import torch

from xlxmert.core.axes import Float, Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_tensors, write_tensors
from xlxmert.core.seeds import seed_of, torch_generator

CHUNK = 1024
"""Features per matrix product in `Codebook.assign`: bounds the memory, changes nothing else."""


class Codebook:
    """K centroids of width F; a feature's code is the number of its nearest centroid (X-LXMERT, section 4.1).

    Args:
        centroids: one row per code; kept in single precision.
    """

    def __init__(self, centroids: Float[Tensor, "K F"]) -> None:
        """Prepare the distances; see the class."""
        self.centroids = centroids.detach().float().contiguous()
        # Distances are measured from the centroids' mean: the same nearest centroid, less cancellation.
        self._centre = self.centroids.mean(0)
        self._centred = self.centroids - self._centre
        self._halves = self._centred.square().sum(-1) / 2

    def __len__(self) -> int:
        """K, the number of codes."""
        return len(self.centroids)

    @property
    def width(self) -> int:
        """F, the width of a feature."""
        return self.centroids.shape[1]

    @property
    def fingerprint(self) -> str:
        """A short hash of the centroids: data prepared with one codebook must not meet another."""
        return hashlib.sha256(self.centroids.cpu().numpy().tobytes()).hexdigest()[:16]

    def to(self, device: torch.device | str) -> "Codebook":
        """The same codes on another device."""
        return Codebook(self.centroids.to(device))

    @classmethod
    def fit(
        cls,
        features: Float[Tensor, "M F"],
        k: int,
        iterations: int = 20,
        seed: int = 0,
        per_code: int = 256,
        balance: float = 0.0,
    ) -> "Codebook":
        """K-means (Lloyd, with faiss) from random features; codes left without a feature move to the largest errors.

        Args:
            features: the training features, one per row.
            k: the number of codes.
            iterations: rounds of assignment and averaging.
            seed: of the choice of first centroids and of the sample.
            per_code: at most this many features per code are used, drawn at random.
            balance: draw them with a chance that grows as their distance from the mean to this power, so that plain
                areas do not take most of the codes; 0 draws evenly, as the paper does.

        Raises:
            XlxmertError: faiss is not installed, a feature is not finite, or there are fewer features than codes.
        """
        try:
            import faiss
        except ImportError as error:
            raise XlxmertError(
                "fitting a codebook needs faiss: install the extra, pip install 'xlxmert[train]'"
            ) from error
        rows = features.detach().float().cpu()
        if k < 1 or len(rows) < k:
            raise XlxmertError(
                f"expected at least {max(k, 1)} features for {k} codes, found {len(rows)}: "
                "add pictures or ask for fewer codes (at least 1)"
            )
        if not bool(rows.isfinite().all()):
            raise XlxmertError("expected finite features, found NaN or infinity: check the pictures and the backbone")
        kmeans = faiss.Kmeans(
            rows.shape[1],
            k,
            niter=iterations,
            seed=seed_of("codebook", seed) % 2**31,
            min_points_per_centroid=1,
            max_points_per_centroid=per_code,
        )
        kmeans.train(_drawn(rows, k * per_code, balance, seed).numpy())
        centroids = torch.from_numpy(np.array(kmeans.centroids, dtype=np.float32).reshape(k, -1))
        return cls(_without_empty(centroids, rows))

    def assign(self, features: Float[Tensor, "*shape F"]) -> Int[Tensor, "*shape"]:
        """The code of each feature: the nearest centroid by Euclidean distance, the lower number on a tie.

        Raises:
            XlxmertError: the features are not as wide as the centroids.
        """
        if features.shape[-1] != self.width:
            raise XlxmertError(
                f"expected features of width {self.width}, found {features.shape[-1]}: "
                "they were made with another feature spec; run `xlxmert codebook` or pass --codebook"
            )
        rows = features.reshape(-1, self.width).to(self.centroids.device, torch.float32)
        with torch.autocast(rows.device.type, enabled=False):
            scores = (
                ((chunk - self._centre) @ self._centred.T).sub_(self._halves) for chunk in torch.split(rows, CHUNK)
            )
            codes = [score.argmax(-1) for score in scores]
        return torch.cat(codes).reshape(features.shape[:-1])

    def features_of(self, codes: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape F"]:
        """The centroid of each code.

        Raises:
            XlxmertError: a code is not in the codebook.
        """
        self.check(codes, "the codes")
        return self.centroids[codes.long()]

    def check(self, codes: Tensor | np.ndarray, where: str) -> None:
        """Make sure that every code is in the codebook.

        Args:
            codes: integers of any shape and type.
            where: the file or data set they come from, for the message.

        Raises:
            XlxmertError: a code is K or more, or negative.
        """
        values = codes.cpu().numpy() if isinstance(codes, Tensor) else codes
        low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
        if low < 0 or high >= len(self):
            expected = "not be negative" if low < 0 else f"be below {len(self)}"
            raise XlxmertError(
                f"codes must {expected} (found {low if low < 0 else high} in {where}): the file was made with another "
                "codebook; run `xlxmert codebook` or pass --codebook"
            )

    def save(self, path: Path) -> None:
        """Write the centroids as safetensors, the fingerprint in the metadata."""
        write_tensors(path, {"centroids": self.centroids}, {"fingerprint": self.fingerprint})

    @classmethod
    def load(cls, path: Path) -> "Codebook":
        """Read what `save` (or `VisualVocabulary.save`) wrote.

        Raises:
            XlxmertError: the file is unreadable, holds no centroids, or they do not match the fingerprint.
        """
        tensors, metadata = read_tensors(path)
        return cls.from_tensors(tensors, metadata, path)

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], metadata: dict[str, str], path: Path) -> "Codebook":
        """The codebook in a file's content; ``path`` is for the message."""
        if "centroids" not in tensors or tensors["centroids"].dim() != 2:
            found = sorted(tensors)
            raise XlxmertError(f"expected a tensor `centroids` (K, F) in {path}, found {found}: is this a codebook?")
        codebook = cls(tensors["centroids"])
        written = metadata.get("fingerprint", codebook.fingerprint)
        if written != codebook.fingerprint:
            raise XlxmertError(
                f"expected centroids with the fingerprint {written} in {path}, found {codebook.fingerprint}: "
                "the file was changed after it was written; fit or download it again"
            )
        return codebook


def _drawn(rows: Float[Tensor, "M F"], count: int, balance: float, seed: int) -> Float[Tensor, "m F"]:
    """At most ``count`` rows, drawn without replacement with a chance of distance-from-the-mean ** balance."""
    if not balance:
        return rows
    chances = (rows - rows.mean(0)).norm(dim=1).clamp(min=1e-6).double().pow(balance)
    keys = torch.empty_like(chances).exponential_(generator=torch_generator("codebook", "draw", seed)) / chances
    return rows[keys.topk(min(count, max(len(rows) // 2, 1)), largest=False).indices]


def _without_empty(
    centroids: Float[Tensor, "K F"], rows: Float[Tensor, "M F"], rounds: int = 5
) -> Float[Tensor, "K F"]:
    """Move each centroid that no feature is nearest to onto a feature that is far from its own centroid.

    Where there are fewer distinct features than centroids, some stay unused; they do no harm.
    """
    for _ in range(rounds):
        codes = Codebook(centroids).assign(rows)
        empty = (torch.bincount(codes, minlength=len(centroids)) == 0).nonzero().flatten()
        if not len(empty):
            break
        errors = (rows - centroids[codes]).square().sum(-1)
        centroids[empty] = rows[errors.topk(len(empty)).indices]
    return centroids

"""Any picture network of the ``transformers`` library as a backbone: ``hf:facebook/dinov2-small``, or ``hf:FOLDER``.

Convolutional and windowed networks (ResNet, ConvNeXt, Swin, …) give a map for each stage. Vision transformers (ViT,
DINOv2, CLIP, SigLIP, …) give their patches as one map; what stands before the patches (class token, registers) is left
out, and the picture is scaled so that the map's stride is 8, 16 or 32, whichever is nearest to the patch: a picture of
256 pixels becomes 224 wide for patches of 14. Needs the extra ``backbones``. Weights are read from safetensors only,
and no code of the hub is run.
"""

import contextlib
import importlib
import inspect
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Float, Tensor
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_json
from xlxmert.vision.network import PictureNetwork

PREFIX = "hf:"
PROCESSOR = "preprocessor_config.json"
STRIDES = (2, 4, 8, 16, 32)
UNUSED = re.compile(r"(^|\.)(hidden_states_norms|pooler|head|mask_token)(\.|$)")
"""Weights that a file may lack: they take no part, or start as plain norms."""
MOST_BEFORE = 64
"""Tokens that may stand before the patches."""


@dataclass(frozen=True)
class Pixels:
    """How a network wants its pixels, as its image processor's settings say."""

    scale: float
    """Of values from 0 to 255."""
    mean: tuple[float, ...]
    """Subtracted after scaling: red, green, blue."""
    deviation: tuple[float, ...]
    """Divided by."""
    flipped: bool
    """Whether blue comes first."""

    @classmethod
    def of(cls, settings: Mapping[str, Any], where: str) -> "Pixels":
        """From the content of ``preprocessor_config.json``.

        Raises:
            XlxmertError: it says neither how to normalise nor that nothing is to be normalised.
        """
        plain = settings.get("do_normalize") is False
        mean, deviation = ((0.0,) * 3, (1.0,) * 3) if plain else map(settings.get, ("image_mean", "image_std"))
        for values in (mean, deviation):
            if not isinstance(values, list | tuple) or len(values) != 3:
                raise XlxmertError(
                    f"expected image_mean and image_std of three colours in {PROCESSOR} of {where}, found {values!r}: "
                    "take the image processor that belongs to the network"
                )
        assert mean is not None and deviation is not None
        scale = float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0
        flipped = bool(settings.get("do_flip_channel_order", False))
        return cls(scale, tuple(map(float, mean)), tuple(map(float, deviation)), flipped)

    def __call__(self, pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Pixels in [-1, 1] as the network wants them."""
        mean, deviation = (pictures.new_tensor(values)[:, None, None] for values in (self.mean, self.deviation))
        ordered = pictures.flip(1) if self.flipped else pictures
        return ((ordered + 1) * (127.5 * self.scale) - mean) / deviation


class TransformersBackbone(PictureNetwork):
    """A network of ``transformers`` behind the contract of `PictureNetwork`, in single precision.

    Args:
        name: see `load_transformers`.
        network: with its weights.
        settings: of its image processor.
        inside: whether its weights travel inside a visual vocabulary's file; otherwise its name does.
    """

    def __init__(self, name: str, network: nn.Module, settings: Mapping[str, Any], inside: bool) -> None:
        """Measure what it gives; see the class."""
        super().__init__()
        self.name, self.network, self.settings, self.inside = name, network, dict(settings), inside
        self.pixels = Pixels.of(settings, name)
        self.requires_grad_(False).eval()
        self.patch = 0 if _staged(network.config) else _patch(network.config)
        interpolating = "interpolate_pos_encoding" in inspect.signature(network.forward).parameters
        self._words = {"interpolate_pos_encoding": True} if interpolating and self.patch else {}
        self._places: dict[int, int] = {}
        self._widths: dict[int, int] = {}
        with torch.no_grad():
            maps = self._maps(torch.zeros(1, 3, 64, 64))
        for place, values in enumerate(maps):  # of stages of one stride the last counts
            stride = 64 // values.shape[-1]
            if stride in STRIDES and values.shape[-1] * stride == 64:
                self._places[stride], self._widths[stride] = place, values.shape[1]
        if not self._places:
            raise XlxmertError(f"expected maps of strides {STRIDES} of {name}, found none: choose another backbone")
        self.strides = sorted(self._places)

    @property
    def channels(self) -> dict[int, int]:
        """The width of the feature map at each stride."""
        return dict(self._widths)

    def forward(self, pictures: Float[Tensor, "B 3 H W"], deepest: int | None = None) -> list[Tensor]:
        """Feature maps by depth; see `PictureNetwork.forward`.

        Raises:
            XlxmertError: the pictures' sides are no multiples of the largest stride.
        """
        wanted = [stride for stride in self.strides if deepest is None or stride <= deepest]
        if not wanted:
            return []
        height, width = pictures.shape[-2:]
        if height % wanted[-1] or width % wanted[-1]:
            raise XlxmertError(
                f"expected pictures with sides in multiples of {wanted[-1]} for {self.name}, found {height}x{width}: "
                "pass another --size"
            )
        maps = self._maps(pictures)
        return [maps[self._places[stride]] for stride in wanted]

    def packed(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Weights, config and image processor, where they lay in a folder."""
        if not self.inside:
            return None
        told = {"name": self.name, "config": self.network.config.to_dict(), "settings": self.settings}  # type: ignore[union-attr,operator]
        return dict(self.network.state_dict()), told

    def _maps(self, pictures: Tensor) -> list[Tensor]:
        """All maps that there are."""
        if not self.patch:
            return list(self.network(self.pixels(pictures)).feature_maps)
        stride = min(STRIDES[2:], key=lambda stride: abs(math.log2(stride / self.patch)))
        rows, columns = (side // stride for side in pictures.shape[-2:])
        size = (rows * self.patch, columns * self.patch)
        if size != tuple(pictures.shape[-2:]):
            pictures = F.interpolate(pictures, size, mode="bilinear", antialias=True)
        tokens = self.network(pixel_values=self.pixels(pictures), **self._words).last_hidden_state  # (B, T, C)
        before = tokens.shape[1] - rows * columns
        if tokens.dim() != 3 or not 0 <= before <= MOST_BEFORE:
            raise XlxmertError(
                f"expected {rows * columns} patches of a picture {size} from {self.name}, found {tuple(tokens.shape)}: "
                "it is no plain vision transformer; choose another backbone"
            )
        return [tokens[:, before:].transpose(1, 2).unflatten(2, (rows, columns))]


def load_transformers(name: str) -> TransformersBackbone:
    """A network of the hub, ``hf:OWNER/NAME`` or ``hf:OWNER/NAME@REVISION``, or from a folder, ``hf:FOLDER``.

    One of the hub is remembered with its revision; the weights of one in a folder travel inside the visual vocabulary.

    Raises:
        UsageError: there is no such folder, or a model of this kind gives no maps.
        XlxmertError: the library is not installed, the hub cannot be reached, or files are missing, damaged, pickles,
            or would run code.
    """
    source, _, revision = name.removeprefix(PREFIX).partition("@")
    folder = Path(name.removeprefix(PREFIX)).expanduser()
    local = bool(source) and folder.is_dir()
    if not local and (source.startswith(".") or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source)):
        raise UsageError(f"expected a folder at {folder} or a name on the hub, hf:OWNER/NAME, found neither: check it")
    if local:
        _check_folder(folder)
    library, place = _library(), str(folder) if local else source
    wanted: dict[str, Any] = {"trust_remote_code": False, "local_files_only": local}
    wanted |= {"revision": revision} if revision and not local else {}
    with _told(library, name, local):
        config = library.AutoConfig.from_pretrained(place, **wanted)
        settings = _settings(library, place, wanted)
        config, pinned = getattr(config, "vision_config", config), getattr(config, "_commit_hash", None)
        if _staged(config):
            config.out_features = [stage for stage in config.stage_names if stage != "stem"]
        loading = {"config": config, "use_safetensors": True, "output_loading_info": True, "dtype": torch.float32}
        network, report = _maker(library, config).from_pretrained(place, **loading, **wanted)
    missing = sorted(key for key in report["missing_keys"] if not UNUSED.search(key))
    if missing:
        raise XlxmertError(
            f"expected the weights of {type(network).__name__} in {name}, missing: {', '.join(missing[:5])} "
            f"({len(missing)} in all): the files are of another network, or not whole"
        )
    called = f"{PREFIX}{folder.name}" if local else f"{PREFIX}{source}" + (f"@{pinned}" if pinned else "")
    return TransformersBackbone(called, network, settings, local)


def unpack_transformers(tensors: Mapping[str, Tensor], told: Mapping[str, Any], where: str) -> TransformersBackbone:
    """The network that `TransformersBackbone.packed` gave.

    Raises:
        XlxmertError: the library is not installed, or the weights are not those of the network.
    """
    library = _library()
    with _told(library, f"{told['name']} in {where}", True):
        config = library.AutoConfig.for_model(**told["config"])
        network = _maker(library, config)._from_config(config, dtype=torch.float32)
        network.load_state_dict(dict(tensors))
    return TransformersBackbone(told["name"], network, told["settings"], inside=True)


def _library() -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise XlxmertError(
            f"backbones that begin with {PREFIX} need transformers ({error}): "
            "install the extra, pip install 'xlxmert[backbones]'"
        ) from error


def _settings(library: Any, place: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Of the image processor; nothing of it is built, so torchvision is not needed."""
    reader = importlib.import_module("transformers.image_processing_base").ImageProcessingMixin
    words = {key: value for key, value in wanted.items() if key != "trust_remote_code"}
    settings: dict[str, Any] = reader.get_image_processor_dict(place, **words)[0]
    return settings


def _check_folder(folder: Path) -> None:
    """Complain about files that are not there."""
    config = folder / "config.json"
    if not isinstance(read_json(config), dict):
        raise XlxmertError(f"expected the config of a network in {config}, found something else: save it again")
    if not (folder / PROCESSOR).is_file():
        raise XlxmertError(
            f"expected {PROCESSOR} in {folder}, found none, so nobody can tell how pixels are to be normalised: "
            "save the image processor there too"
        )
    if not list(folder.glob("*.safetensors")):
        found = ", ".join(sorted(path.name for path in folder.iterdir()))
        raise XlxmertError(
            f"expected weights as safetensors in {folder}, found {found}: pickles are not read; save the network with "
            "save_pretrained"
        )


@contextlib.contextmanager
def _told(library: Any, name: str, local: bool) -> Iterator[None]:
    """Silence while the library loads; whatever goes wrong becomes one line."""
    logging = library.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except XlxmertError:
        raise
    except Exception as error:  # the library and the hub's client raise many types
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        where = "in its folder" if local else "on the Hugging Face hub or among what was downloaded before"
        move = "save the network again" if local else "check the name, go online once, or pass hf:FOLDER with its files"
        raise XlxmertError(
            f"expected the backbone {name} {where}, found none that can be read ({reason}): {move}"
        ) from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _staged(config: Any) -> bool:
    """Whether a network gives a map for each of its stages."""
    return config.model_type in _classes("MODEL_FOR_BACKBONE_MAPPING_NAMES") and hasattr(config, "depths")


def _maker(library: Any, config: Any) -> Any:
    """The class of a network; the library's own finders would also ask the hub, or look for code there."""
    names = "MODEL_FOR_BACKBONE_MAPPING_NAMES" if _staged(config) else "MODEL_MAPPING_NAMES"
    name = _classes(names).get(config.model_type)
    if not isinstance(name, str):
        raise UsageError(
            f"expected a picture network, found {config.model_type}, which this transformers does not know"
        )
    return getattr(library, name)


def _classes(names: str) -> Mapping[str, Any]:
    """The library's classes by the kind of model."""
    found: Mapping[str, Any] = getattr(importlib.import_module("transformers.models.auto.modeling_auto"), names)
    return found


def _patch(config: Any) -> int:
    """The side of a vision transformer's patches."""
    found = getattr(config, "patch_size", None)
    sides = set(found) if isinstance(found, list | tuple) else {found}
    side = sides.pop() if len(sides) == 1 else None
    if not isinstance(side, int) or side < 1:
        raise UsageError(
            f"expected a network with stages or square patches, found {config.model_type} (patch_size {found}): choose "
            "a ResNet, ConvNeXt, Swin, ViT, DINOv2, CLIP, SigLIP or the like"
        )
    return side

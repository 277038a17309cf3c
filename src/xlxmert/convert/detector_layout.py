"""The published detectors' weights, to our names and back, by one reversible table for each of the two layouts."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from xlxmert.convert.files import read_weights
from xlxmert.convert.pickled import holds_pickle, read_pickle
from xlxmert.convert.table import LoadReport, Row, State, plain_names, same, some, split, translate
from xlxmert.core.axes import Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.models.detector import R101, X152, Detector, DetectorConfig

CALLED = {"fpn": "X-LXMERT's detector", "c4": "bottom-up attention's detector"}
HINT = "it is of another network, or cut short; allow=[NAME] goes on without what it names"
NORM = (("gain", "weight"), ("shift", "bias"), ("mean", "running_mean"), ("variance", "running_var"))
"""Our names of a norm's vectors, and theirs."""
SPARE = re.compile(r"(^|\.)(num_batches_tracked|pixel_mean|pixel_std)$")
"""What files may hold that is no weight: counters of norms, means that pictures are prepared with."""
STAGES = 4


def table(config: DetectorConfig) -> list[Row]:
    """The table of a detector, in the order of the published files."""
    return _fpn_table(config) if config.layout == "fpn" else _c4_table(config)


def from_reference(state: Mapping[str, Tensor], config: DetectorConfig, allow: Sequence[str] = ()) -> State:
    """Rename the published tensors, with or without their prefix.

    Args:
        state: the published state.
        config: of the detector.
        allow: names of theirs that may be missing; our tensor is then left out.

    Raises:
        XlxmertError: a name is missing or unexpected; the message names all of them.
    """
    theirs = plain_names(state)
    return translate(theirs, table(config), None, CALLED[config.layout], allow, _spare(theirs))[0]


def to_reference(state: Mapping[str, Tensor], config: DetectorConfig, prefix: str = "") -> State:
    """The exact inverse of `from_reference`: our tensors under the published names.

    Raises:
        XlxmertError: a name is missing or unexpected.
    """
    return {prefix + name: tensor for name, tensor in split(state, table(config)).items()}


def infer_config(state: Mapping[str, Tensor]) -> DetectorConfig:
    """The config that a detector's weights tell by their names and shapes; what these do not tell is as published.

    Raises:
        XlxmertError: the names are of neither layout, or a weight that tells a size is missing.
    """
    state = plain_names(state)
    if any(name.startswith("backbone.fpn.") for name in state):
        return _fpn_config(state)
    if any(name.startswith("backbone.res2.") for name in state):
        return _c4_config(state)
    raise XlxmertError(
        f"expected the weights of a detector, as maskrcnn-benchmark (backbone.fpn.…) or detectron2 (backbone.res2.…) "
        f"name them, found {some(sorted(state), 3)}: name another file"
    )


def read_detector(path: Path, allow: Sequence[str] = ()) -> tuple[Detector, LoadReport]:
    """A published detector, and what was read of its file; a weight that may be missing keeps its random start.

    Args:
        path: ``detectron_model.pth``, ``faster_rcnn_from_caffe*.pkl``, the `transformers` research port's
            ``pytorch_model.bin``, or the same weights as safetensors.
        allow: names, or patterns with ``*``, of weights that need not fit.

    Raises:
        XlxmertError: the file is damaged, would run code, or is of another network; every weight that does not fit is
            named.
    """
    path = Path(path)
    theirs = plain_names(read_pickle(path) if holds_pickle(path) else read_weights(path))
    config = infer_config(theirs)
    with torch.random.fork_rng(devices=[]), torch.device("cpu" if allow else "meta"):  # nothing random is kept
        torch.manual_seed(0)
        detector = Detector(config)
    ours, report = translate(
        theirs, table(config), detector.state_dict(), CALLED[config.layout], allow, _spare(theirs), str(path), HINT
    )
    detector.load_state_dict({name: tensor.float() for name, tensor in ours.items()}, assign=True)
    return detector.frozen(), report


def _spare(theirs: Iterable[str]) -> list[str]:
    return [name for name in theirs if SPARE.search(name)]


def _normed(ours: str, weight: str, norm: str) -> list[Row]:
    """A convolution and the norm behind it, which are two modules of theirs."""
    return [
        Row(f"{ours}.weight", (f"{weight}.weight",)),
        *(Row(f"{ours}.{mine}", (f"{norm}.{other}",)) for mine, other in NORM),
    ]


def _blocks(ours: str, theirs: str, count: int, layout: str) -> list[Row]:
    """The blocks of a stage."""
    rows: list[Row] = []
    for block in range(count):
        mine, other = f"{ours}.{block}", f"{theirs}.{block}"
        if layout == "fpn":
            shortcut = (f"{other}.downsample.0", f"{other}.downsample.1")
            convolutions = [(f"{other}.conv{i}", f"{other}.bn{i}") for i in (1, 2, 3)]
        else:
            shortcut = (f"{other}.shortcut", f"{other}.shortcut.norm")
            convolutions = [(f"{other}.conv{i}", f"{other}.conv{i}.norm") for i in (1, 2, 3)]
        rows += _normed(f"{mine}.shortcut", *shortcut) if block == 0 else []
        for i, names in enumerate(convolutions, 1):
            rows += _normed(f"{mine}.conv{i}", *names)
    return rows


def _fpn_table(config: DetectorConfig) -> list[Row]:
    body, fpn, rpn, box = "backbone.body", "backbone.fpn", "rpn.head", "roi_heads.box"
    rows = _normed("body.stem", f"{body}.stem.conv1", f"{body}.stem.bn1")
    for stage in range(STAGES):
        rows += _blocks(f"body.stages.{stage}", f"{body}.layer{stage + 1}", config.blocks[stage], "fpn")
    for stage in range(STAGES):
        rows += same(f"pyramid.lateral.{stage}", f"{fpn}.fpn_inner{stage + 1}")
        rows += same(f"pyramid.smooth.{stage}", f"{fpn}.fpn_layer{stage + 1}")
    anchors = tuple(f"rpn.anchor_generator.cell_anchors.{level}" for level in range(len(config.strides)))
    rows += [Row("proposer.anchors", anchors), *same("proposer.conv", f"{rpn}.conv")]
    rows += [*same("proposer.objectness", f"{rpn}.cls_logits"), *same("proposer.deltas", f"{rpn}.bbox_pred")]
    for layer in ("fc6", "fc7"):
        rows += same(f"head.pool.{layer}", f"{box}.feature_extractor.{layer}")
    return rows + same("head.scores", f"{box}.predictor.cls_score") + same("head.deltas", f"{box}.predictor.bbox_pred")


def _c4_table(config: DetectorConfig) -> list[Row]:
    proposals, rpn = "proposal_generator", "proposal_generator.rpn_head"
    predictor = "roi_heads.box_predictor"
    rows = _normed("body.stem", "backbone.stem.conv1", "backbone.stem.conv1.norm")
    for stage in range(STAGES - 1):
        rows += _blocks(f"body.stages.{stage}", f"backbone.res{stage + 2}", config.blocks[stage], "c4")
    rows += [Row("proposer.anchors", (f"{proposals}.anchor_generator.cell_anchors.0",))]
    rows += [*same("proposer.conv", f"{rpn}.conv"), *same("proposer.objectness", f"{rpn}.objectness_logits")]
    rows += same("proposer.deltas", f"{rpn}.anchor_deltas")
    rows += _blocks("head.pool.stage", "roi_heads.res5", config.blocks[-1], "c4")
    rows += [*same("head.scores", f"{predictor}.cls_score"), *same("head.deltas", f"{predictor}.bbox_pred")]
    if config.attributes:
        rows += same("head.attributes.label", f"{predictor}.cls_embedding", ("weight",))
        rows += same("head.attributes.hidden", f"{predictor}.fc_attr")
        rows += same("head.attributes.attributes", f"{predictor}.attr_score")
    return rows


def _fpn_config(state: Mapping[str, Tensor]) -> DetectorConfig:
    body, box = "backbone.body", "roi_heads.box"
    inner, group = _shape(state, f"{body}.layer1.0.conv2.weight")[:2]
    pyramid = _shape(state, "backbone.fpn.fpn_inner1.weight")[0]
    mlp, pooled = _shape(state, f"{box}.feature_extractor.fc6.weight")
    return DetectorConfig(
        stem=_shape(state, f"{body}.stem.conv1.weight")[0],
        width=_shape(state, f"{body}.layer1.0.conv3.weight")[0],
        groups=inner // group,
        group_width=group,
        blocks=tuple(_count(state, rf"{body}\.layer{stage + 1}\.(\d+)\.") for stage in range(STAGES)),
        pyramid=pyramid,
        hidden=_shape(state, "rpn.head.conv.weight")[0],
        mlp=mlp,
        labels=_shape(state, f"{box}.predictor.cls_score.weight")[0] - 1,
        pooled=round((pooled / pyramid) ** 0.5),
        anchor_ratios=_ratios(_shape(state, "rpn.head.cls_logits.weight")[0], 1),
        anchor_sizes=X152.anchor_sizes,
        considered=X152.considered,
        proposed=X152.proposed,
        shortest=X152.shortest,
        longest=X152.longest,
    )


def _c4_config(state: Mapping[str, Tensor]) -> DetectorConfig:
    rpn, predictor = "proposal_generator.rpn_head", "roi_heads.box_predictor"
    inner, group = _shape(state, "backbone.res2.0.conv2.weight")[:2]
    attributes = f"{predictor}.attr_score.weight"
    body = tuple(_count(state, rf"backbone\.res{stage + 2}\.(\d+)\.") for stage in range(STAGES - 1))
    anchors = _shape(state, f"{rpn}.objectness_logits.weight")[0]
    return DetectorConfig(
        layout="c4",
        stem=_shape(state, "backbone.stem.conv1.weight")[0],
        width=_shape(state, "backbone.res2.0.conv3.weight")[0],
        groups=inner // group,
        group_width=group,
        blocks=(*body, _count(state, r"roi_heads\.res5\.(\d+)\.")),
        hidden=_shape(state, f"{rpn}.conv.weight")[0],
        labels=_shape(state, f"{predictor}.cls_score.weight")[0] - 1,
        attributes=_shape(state, attributes)[0] - 1 if attributes in state else 0,
        pooled=R101.pooled,
        anchor_ratios=_ratios(anchors, len(R101.anchor_sizes)),
        anchor_sizes=R101.anchor_sizes,
        considered=R101.considered,
        proposed=R101.proposed,
        shortest=R101.shortest,
        longest=R101.longest,
    )


def _ratios(anchors: int, sizes: int) -> tuple[float, ...]:
    """The published ratios, if a place has so many anchors."""
    if anchors != sizes * len(X152.anchor_ratios):
        raise XlxmertError(
            f"expected {sizes * len(X152.anchor_ratios)} anchors per place, as published, found {anchors}: the file is "
            "of another network"
        )
    return X152.anchor_ratios


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({found[1] for name in state if (found := re.match(pattern, name))})


def _shape(state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    if name not in state:
        raise XlxmertError(
            f"expected {name} in the weights of a detector, found {some(sorted(state), 3)}: it is cut short, or of "
            "another network"
        )
    return tuple(state[name].shape)

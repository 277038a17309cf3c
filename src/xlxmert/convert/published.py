"""Published checkpoints as bundles and back: finds the layout, reports what was read, refuses what does not fit."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch

from xlxmert.convert import generator_layout, xlxmert_layout
from xlxmert.convert.bert import OPTIONAL, check_transformers_config
from xlxmert.convert.files import read_folder, read_weights, write_weights
from xlxmert.convert.folder import Bundle
from xlxmert.convert.table import LoadReport, State, plain_names, translate
from xlxmert.convert.whole import whole_folder
from xlxmert.core.axes import Tensor
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import write_json, write_tensors, write_text
from xlxmert.data.answers import AnswerTable
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.models.base import Transformer
from xlxmert.models.config import ModelConfig
from xlxmert.models.families import build
from xlxmert.models.generator import Generator
from xlxmert.models.lxmert import LxmertConfig

Layout = Literal["xlxmert", "lxmert", "transformers", "generator"]
MOST_WORDS = 18
"""Tokens of a sentence that the published models were trained on, [CLS] and [SEP] apart (X-LXMERT, section C.1)."""
MARKS = (
    ("an xlxmert checkpoint", r"words\.word\.weight$", "it needs no conversion"),
    ("generator", r"learned_init_conv\.", "pass it with --generator"),
    ("X-LXMERT's discriminator", r"(adv_out|emb_classifier)\.", "painting needs none"),
    ("a detector", r"(backbone|rpn|roi_heads)\.", "it is no part of a transformer"),
    ("xlxmert", r"mask_feat$|obj_predict_head\.(out_cluster|linear_feat)\.", "pass it with --xlxmert"),
    ("lxmert", r"bert\.encoder\.x_layers\.", "pass it with --lxmert, or its folder with --transformers"),
    ("a BERT", r"bert\.encoder\.layer\.", "it is where trainings start from"),
)
"""What files hold, the names that tell it, and what to do with one in the wrong place; the first that fits."""
CALLED = {"xlxmert": "X-LXMERT", "lxmert": "LXMERT", "generator": "X-LXMERT's generator"}
WRITTEN = ("config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json")
"""Files of a folder for the `transformers` library."""
HINT = "it is of another network, or cut short; --allow NAME goes on without what it names"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A published transformer, what belongs to it, and how to read it."""

    layout: Literal["xlxmert", "lxmert", "transformers"]
    """Whose layout it is."""
    path: Path
    """Its file, or its folder for ``transformers``."""
    generator: Path | None = None
    """X-LXMERT's generator."""
    vocabulary: Path | None = None
    """BERT's ``vocab.txt``; a folder has its own."""
    answers: Path | None = None
    """LXMERT's published table of answers, or any list of them."""
    drop_answers: bool = False
    """Leave the question head out."""
    heads: int | None = None
    """Attention heads, which shapes do not tell; by default one per 64 of width, as in BERT, or what a folder says."""
    grid: int = 8
    """Cells per side of the grid, which shapes do not tell."""
    allow: tuple[str, ...] = ()
    """Names, or patterns with ``*``, of weights that need not fit."""


def read_published(source: Source) -> tuple[Bundle, list[LoadReport]]:
    """A bundle of published parts, and what was read of each file.

    Such a bundle has no visual vocabulary, since the published models look at pictures with a detector; it paints.

    Raises:
        UsageError: the vocabulary or the answers are not given, or parts are that the model has no use for.
        XlxmertError: a file is damaged or of another network; every weight that does not fit is named.
    """
    tokenizer = _tokenizer(source)
    model, report = _read_transformer(source)
    if source.generator is not None and not model.config.codes:
        raise UsageError(
            f"expected --generator beside an X-LXMERT, found it beside {source.path}, which has no codes: leave it out"
        )
    reports, generator = [report], None
    if source.generator is not None:
        generator, more = read_generator(source.generator, source.grid, source.allow)
        reports.append(more)
    answers = AnswerTable.load(source.answers) if source.answers is not None else None
    facts = {"most_words": MOST_WORDS, "converted": {"layout": source.layout, "file": source.path.name}}
    return Bundle(model, tokenizer, None, generator, answers, _card(source, model.config), facts), reports


def read_generator(path: Path, grid: int = 8, allow: tuple[str, ...] = ()) -> tuple[Generator, LoadReport]:
    """X-LXMERT's published generator, and what was read of its file.

    Raises:
        XlxmertError: the file is damaged or of another network; every weight that does not fit is named.
    """
    theirs = _expected(plain_names(read_weights(path)), "generator", path)
    config = generator_layout.infer_config(theirs, grid)
    generator = _started(lambda: Generator(config))
    rows = generator_layout.generator_rows(len(config.widths))
    ours, report = translate(
        theirs, rows, generator.state_dict(), CALLED["generator"], allow, source=str(path), hint=HINT
    )
    generator.load_state_dict(ours)
    return generator.eval().requires_grad_(False), report


def write_published(bundle: Bundle, layout: Layout, out: Path) -> int:
    """Write the transformer or the generator of a bundle in a published layout; what is there is replaced.

    Args:
        bundle: a checkpoint with the papers' choices.
        layout: ``xlxmert``, ``lxmert`` and ``generator`` write a file as the authors' training did, ``transformers`` a
            folder for the library of that name.
        out: the file or folder.

    Returns:
        the number of tensors that were written.

    Raises:
        XlxmertError: the layout has no place for some weight, or ``out`` cannot be written.
    """
    model = bundle.model
    is_generator = layout == "generator"
    state = _generator_state(bundle) if is_generator else published_names(model.state_dict(), model.config, layout)
    if layout == "transformers":
        with whole_folder(out, "a folder that was written before", _only_written) as part:
            _write_folder(part, state, bundle)
    else:
        write_weights(out, state)
    return len(state)


def published_names(state: Mapping[str, Tensor], config: ModelConfig, layout: Layout) -> State:
    """A transformer's weights under the very names of the published file or folder.

    Raises:
        XlxmertError: the layout has no place for some weight.
    """
    wanted, found = ("xlxmert" if layout == "xlxmert" else "lxmert"), xlxmert_layout.layout_of(config)
    if wanted != found:
        raise XlxmertError(
            f"expected a model of {CALLED[wanted]} to write as {layout}, found one of {CALLED[found]}: write it with "
            f"--to {found}"
        )
    theirs = xlxmert_layout.to_reference(state, config)
    if layout != "transformers":
        return {f"{generator_layout.PREFIX}{name}": tensor for name, tensor in theirs.items()}
    return {re.sub(r"^bert\.", "lxmert.", name): tensor for name, tensor in theirs.items()}


def transformers_config(config: LxmertConfig) -> dict[str, Any]:
    """The config of such a model as the `transformers` library writes it."""
    return {
        "architectures": ["LxmertForPreTraining"],
        "model_type": "lxmert",
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "num_attention_heads": config.heads,
        "intermediate_size": config.feed_forward,
        "hidden_act": "gelu",
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "max_position_embeddings": config.max_text,
        "type_vocab_size": config.token_types,
        "l_layers": config.language_layers,
        "r_layers": config.relation_layers,
        "x_layers": config.cross_layers,
        "visual_feat_dim": config.feature_width,
        "visual_pos_dim": 4,
        "num_qa_labels": config.answers,
        "num_object_labels": config.labels,
        "num_attr_labels": config.attributes,
        "task_qa": bool(config.answers),
        "task_obj_predict": bool(config.regress or config.labels or config.attributes),
        "visual_obj_loss": bool(config.labels),
        "visual_attr_loss": bool(config.attributes),
        "visual_feat_loss": config.regress,
    }


def _read_transformer(source: Source) -> tuple[Transformer, LoadReport]:
    """The model of a source with its weights."""
    state, told = read_folder(source.path) if source.layout == "transformers" else (read_weights(source.path), {})
    kind = "xlxmert" if source.layout == "xlxmert" else "lxmert"
    theirs = _expected(plain_names(state), kind, source.path)
    dropped = [name for name in theirs if source.drop_answers and name.startswith(f"{xlxmert_layout.ANSWERS}.")]
    theirs = {name: tensor for name, tensor in theirs.items() if name not in dropped}
    config = xlxmert_layout.infer_config(theirs, source.heads or told.get("num_attention_heads"), source.grid)
    check_transformers_config(told, config, "lxmert", source.path)
    _check_answers(source, config)
    xlxmert_layout.check_tied(theirs)
    model = _started(lambda: build(config))
    rows = xlxmert_layout.table(config)
    ours, report = translate(
        theirs, rows, model.state_dict(), CALLED[kind], source.allow, OPTIONAL, str(source.path), HINT
    )
    model.load_state_dict(ours)
    report = dataclasses.replace(report, ignored=(*report.ignored, *dropped))
    return model.eval().requires_grad_(False), report


def _expected(theirs: State, kind: str, path: Path) -> State:
    """The state, if it is of the kind that was asked for."""
    for found, mark, move in MARKS:
        if any(re.match(mark, name) for name in theirs):
            if found == kind:
                return theirs
            raise XlxmertError(
                f"expected the weights of {CALLED[kind]} in {path}, found those of {CALLED.get(found, found)}: {move}"
            )
    first = ", ".join(sorted(theirs)[:3])
    raise XlxmertError(f"expected the weights of {CALLED[kind]} in {path}, found others ({first}): name another file")


def _started(make: Callable[[], T]) -> T:
    """A network with the random start that weights keep which a file lacks and may lack."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def _tokenizer(source: Source) -> Tokenizer:
    """The words of a published model: BERT's."""
    if source.vocabulary is not None:
        return Tokenizer.from_vocabulary(source.vocabulary)
    if source.layout == "transformers" and (source.path / "vocab.txt").is_file():
        return Tokenizer.from_vocabulary(source.path / "vocab.txt")
    if source.layout == "transformers" and (source.path / "tokenizer.json").is_file():
        tokenizer = Tokenizer.load(source.path / "tokenizer.json")
        tokenizer.engine.no_padding()
        tokenizer.engine.no_truncation()
        return tokenizer
    raise UsageError(
        "expected --vocab, found none, and BERT's vocabulary does not come with this package: download vocab.txt of "
        "bert-base-uncased (https://huggingface.co/google-bert/bert-base-uncased) and pass --vocab vocab.txt"
    )


def _check_answers(source: Source, config: ModelConfig) -> None:
    """Complain unless there is a table for a question head, and a head for a table."""
    if config.answers and source.answers is None:
        raise UsageError(
            f"expected --answers with the {config.answers} answers of the question head in {source.path}, found none: "
            "pass LXMERT's published table (data/lxmert/all_ans.json of its repository), or leave the head out with "
            "--drop-answers"
        )
    if source.answers is not None and not config.answers:
        found = "--drop-answers beside it" if source.drop_answers else f"no question head in {source.path}"
        raise UsageError(f"expected --answers for a question head, found {found}: leave it out")


def _generator_state(bundle: Bundle) -> State:
    """The weights of a bundle's generator as its file names them."""
    if bundle.generator is None:
        raise XlxmertError("expected a checkpoint with a generator, found none in it: name another with --checkpoint")
    config = bundle.generator.config
    generator_layout.check_expressible(config)
    rows = generator_layout.generator_rows(len(config.widths))
    state: Mapping[str, Tensor] = bundle.generator.state_dict()
    return generator_layout.to_reference(state if config.spectral else generator_layout.unfolded(state, rows), rows)


def _write_folder(folder: Path, state: State, bundle: Bundle) -> None:
    """All that the `transformers` library asks for."""
    assert isinstance(bundle.model.config, LxmertConfig)
    write_json(folder / "config.json", transformers_config(bundle.model.config))
    write_tensors(folder / "model.safetensors", state, {"format": "pt"})
    ids = bundle.tokenizer.engine.get_vocab()
    write_text(folder / "vocab.txt", "\n".join(sorted(ids, key=lambda piece: ids[piece])) + "\n")
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "LxmertTokenizer", "do_lower_case": True})


def _only_written(folder: Path) -> bool:
    """Whether a folder holds nothing but what `_write_folder` writes."""
    return {path.name for path in folder.iterdir()} <= set(WRITTEN)


def _card(source: Source, config: ModelConfig) -> str:
    """The model card of a converted checkpoint."""
    kind = "X-LXMERT" if source.layout == "xlxmert" else "LXMERT"
    paints = "It paints from words." if source.generator is not None else "It has no generator and cannot paint."
    return (
        f"# {kind}, converted from `{source.path.name}`\n\n"
        f"{config.family.upper()} with {config.width} values per token, {config.codes} codes and {config.answers} "
        f"answers, as its authors published it. {paints} To look at pictures it needs the features of the detector "
        "that it was trained with.\n"
    )

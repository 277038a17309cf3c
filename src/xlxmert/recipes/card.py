"""The model card of a checkpoint: what it is, what it was trained on, what was measured, what it cannot do."""

from collections.abc import Mapping
from typing import Any

from xlxmert.convert.captioner import Captioner
from xlxmert.convert.folder import Bundle

ROWS = (
    ("facts right in painted pictures", "paint/facts"),
    ("… nouns", "paint/noun"),
    ("… colours", "paint/colour"),
    ("… counts", "paint/count"),
    ("… sizes", "paint/size"),
    ("… actions", "paint/action"),
    ("… relations", "paint/relation"),
    ("… settings", "paint/setting"),
    ("pictures with every fact right", "paint/every"),
    ("… of captions about one object", "paint/every_one_object"),
    ("facts right in pictures rebuilt from their true codes (the ceiling)", "rebuild/facts"),
    ("VQA accuracy", "vqa/overall"),
    ("… yes/no", "vqa/yes/no"),
    ("… number", "vqa/number"),
    ("… other", "vqa/other"),
    ("facts right in captions", "caption/facts"),
    ("… nouns", "caption/noun"),
    ("… colours", "caption/colour"),
    ("… counts", "caption/count"),
    ("… relations", "caption/relation"),
    ("captions with every fact right", "caption/every"),
    ("things named in captions", "caption/things_named"),
    ("CIDEr-D of captions (times 100)", "caption/CIDEr-D"),
    ("matching accuracy", "match/accuracy"),
)
"""What a reader wants to know, and the score that tells it."""


def score_table(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Scores by split as a Markdown table; what was not measured is left out."""
    splits = list(scores)
    lines = [f"| score | {' | '.join(splits)} |", f"|---|{'---:|' * len(splits)}"]
    for title, name in ROWS:
        values = [scores[split].get(name) for split in splits]
        if any(value is not None for value in values):
            lines.append(f"| {title} | {' | '.join(_shown(name, value) for value in values)} |")
    return "\n".join(lines)


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return "—"
    return f"{value:.1f}" if name.endswith("CIDEr-D") else f"{100 * value:.1f} %"


def model_card(bundle: Bundle, scores: Mapping[str, Mapping[str, float]], training: Mapping[str, Any]) -> str:
    """The card as Markdown.

    Args:
        bundle: the checkpoint.
        scores: measured scores by split.
        training: names and values of how it was trained.
    """
    told = "\n".join(f"- {name}: {value}" for name, value in training.items())
    return f"""# X-LXMERT on the built-in world

Paints, captions, answers and matches pictures of the built-in world of xlxmert: scenes of emoji sprites,
256x256 pixels.
Apache-2.0; the sprites in its training pictures are Microsoft's Fluent Emoji (MIT).

{_parts(bundle)}
{told}

## Measured

{score_table(scores)}

The scores, their definitions and the commands that measured them: docs/results.md of xlxmert.

## Limits

It knows the words of the built-in world and nothing else; a photograph is as foreign to it as a word that it never
read.
Objects stand on a lattice of half the grid's width in its training pictures, so that is where it paints them.
"""


def _parts(bundle: Bundle) -> str:
    """The sizes of a checkpoint, as a list."""
    config, generator = bundle.model.config, bundle.generator
    weights = sum(p.numel() for p in bundle.model.parameters())
    painter = sum(p.numel() for p in generator.parameters()) if generator is not None else 0
    layers = "/".join(str(getattr(config, name)) for name in config.layers_of)
    names = ", ".join(name.removesuffix("_layers") for name in config.layers_of)
    vocabulary = bundle.vocabulary
    taught = (
        "" if vocabulary is None or vocabulary.embedding is None else ", taught by boxes of things in training pictures"
    )
    return f"""- transformer: {weights:,} parameters, width {config.width}, layers {layers} ({names})
- visual vocabulary: {config.codes} codes on an {config.grid}x{config.grid} grid{taught}
- text: {config.vocabulary} word pieces, {config.answers} answers
- image generator: {painter:,} parameters"""


def folder_card(bundle: Bundle, name: str, scores: Mapping[str, float], held: int) -> str:
    """The card of a checkpoint of one's own pictures, as Markdown.

    Args:
        bundle: with the facts of its training.
        name: of the pictures' folder.
        scores: measured on pictures that were kept out.
        held: how many.
    """
    facts, plan = bundle.facts, bundle.facts["plan"]
    rows = "\n".join(f"| {score} | {value:.4g} |" for score, value in scores.items())
    measured = f"On {held} pictures that were kept out:\n\n| score | |\n|---|---:|\n{rows}" if scores else "Nothing."
    return f"""# X-LXMERT on {name}

Paints, captions and matches pictures like the {facts["pictures"]:,} of the folder {name} that it was trained on.

{_parts(bundle)}
- training: {plan["pretrain_steps"]:,} steps of the transformer, {plan["render_steps"]:,} of the image generator

## Measured

{measured}

## Limits

It knows the words of these pictures' captions and nothing else.
"""


def captioner_card(captioner: Captioner, scores: Mapping[str, Mapping[str, float]]) -> str:
    """The card of a captioner of the built-in world, as Markdown.

    Args:
        captioner: with the facts of its training.
        scores: measured scores by split.
    """
    config, facts = captioner.model.config, captioner.facts
    weights = sum(p.numel() for p in captioner.model.parameters())
    return f"""# XGPT on the built-in world

Captions pictures of the built-in world of xlxmert: scenes of emoji sprites, 256x256 pixels.
Apache-2.0; the sprites in its training pictures are Microsoft's Fluent Emoji (MIT).

- transformer: {weights:,} parameters, width {config.width}, {config.layers} layers that encode and decode,
  {config.refine_layers} that refine regions
- reads the features of an {config.grid}x{config.grid} grid, as the bundled checkpoint looks at pictures
- text: {config.vocabulary} word pieces
- training: {facts.get("pictures"):,} pictures, {facts.get("rebuilt", 0):,} of them once more as the bundled checkpoint
  paints them, {facts.get("steps"):,} steps of {facts.get("batch")} captions

## Measured

Beam search with three beams.

{score_table(scores)}

The scores, their definitions and the commands that measured them: docs/results.md of xlxmert.

## Limits

It knows the words of the built-in world and nothing else; a photograph is foreign to it. It is weakest in relations of
place.
"""

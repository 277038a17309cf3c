"""NLVR2's scores: statements judged right, and sentences judged right over all their pairs of pictures."""

from collections.abc import Mapping

from xlxmert.core.errors import UsageError


def nlvr2_scores(predictions: Mapping[str, bool], labels: Mapping[str, bool]) -> dict[str, float]:
    """``accuracy`` over statements and ``consistency`` over sentences, in per cent.

    A sentence is consistent where it was judged right for each of its pairs; statements share a sentence where their
    identifiers differ in the third field only (``split-set-pair-sentence``). Predictions beyond the labels are ignored,
    so a balanced or unbalanced subset is scored by giving its labels.
    Source: ``nlvr2/eval/metrics.py`` of github.com/lil-lab/nlvr at e6a286a.

    Args:
        predictions: by identifier, whether the statement was judged true.
        labels: by identifier, whether it is.

    Raises:
        UsageError: there is no label, a statement has no prediction, or an identifier has another shape.
    """
    missing = sorted(labels.keys() - predictions.keys())
    if missing or not labels:
        raise UsageError(
            f"expected a prediction for each of {len(labels)} statements, missing {len(missing)} ({missing[:3]} …): "
            "judge the whole split"
        )
    right = {identifier: predictions[identifier] == label for identifier, label in labels.items()}
    consistent: dict[str, bool] = {}
    for identifier, judged_right in right.items():
        sentence = sentence_of(identifier)
        consistent[sentence] = consistent.get(sentence, True) and judged_right
    return {
        "accuracy": 100 * sum(right.values()) / len(right),
        "consistency": 100 * sum(consistent.values()) / len(consistent),
    }


def sentence_of(identifier: str) -> str:
    """What the statements of one sentence share: ``dev-850-0-1`` and ``dev-850-3-1`` both give ``dev-850-1``.

    Raises:
        UsageError: the identifier is not of four fields.
    """
    fields = identifier.split("-")
    if len(fields) != 4:
        raise UsageError(
            f"expected an identifier split-set-pair-sentence such as dev-850-0-1, found {identifier!r}: "
            "consistency needs it; give the identifiers of the published files"
        )
    return "-".join(fields[:2] + fields[3:])

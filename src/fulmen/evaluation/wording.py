"""What metrics say, in a few words."""

from __future__ import annotations

MEANING = {
    "accuracy": "share of answers that are right",
    "balanced_accuracy": "mean over the classes of the share that is found; guessing gives 1 / classes",
    "precision": "of what is said to be of a class, the share that is",
    "recall": "of what is of a class, the share that is found",
    "f1": "harmonic mean of precision and recall",
    "auroc": "how often a sample of a class gets a higher score for it than one of another; guessing gives 0.5",
    "average_precision": "area below precision over recall; guessing gives the share of the class",
    "matthews": "correlation of answers and truth, from -1 to 1; guessing gives 0",
    "log_loss": "minus the mean logarithm of the probability of what is right; lower is better",
    "brier": "mean squared error of the probabilities; lower is better",
    "calibration_error": "mean difference between how sure and how right it is; lower is better",
    "exact_match": "share of samples all of whose labels are right",
    "hamming_distance": "share of single labels that are wrong; lower is better",
    "mae": "mean absolute error, in the unit of the target; lower is better",
    "rmse": "root of the mean squared error: large errors weigh more; lower is better",
    "median_absolute_error": "half of the errors are smaller",
    "mape": "mean error as a share of the target; lower is better",
    "r2": "share of the targets' variance that is explained; always saying the mean gives 0",
    "explained_variance": "as r2, but a constant offset is forgiven",
    "pearson": "linear correlation of predictions and targets",
}

_HOW = {"macro": "every class counts the same", "weighted": "classes count by their size", "micro": "all labels pooled"}


def meaning(metric: str, task: str, names: list[str]) -> str:
    """What a metric says, and over which classes.

    >>> meaning("f1_weighted", "multiclass", ["a", "b", "c"])
    'harmonic mean of precision and recall; classes count by their size'
    >>> meaning("recall", "binary", ["no", "yes"])
    'of what is of a class, the share that is found; here of yes'
    """
    name, _, how = metric.rpartition("_")
    if how in _HOW and name in MEANING:
        return f"{MEANING[name]}; {_HOW[how]}"
    said = MEANING.get(metric, "")
    if metric in ("precision", "recall", "f1", "average_precision", "auroc"):
        if task == "binary":
            return f"{said}; here of {names[1]}"
        return f"{said}; {_HOW['macro']}"
    return said

"""Warnings that are no news to the person at the command line."""

from __future__ import annotations

import logging
import os
import warnings


def quiet() -> None:
    """Turns off advice that does not apply here."""
    # https://github.com/Lightning-AI/pytorch-lightning/issues/10182: data in memory need no worker processes
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    # torch 2.15 deprecates what Lightning 2.6.6 calls in lightning/pytorch/utilities/_pytree.py
    warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
    # lightning/pytorch/cli.py 2.6.6 calls methods that jsonargparse 4.49 renamed (pyproject.toml bounds it below 5)
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    # a model that is only evaluated needs no early stopping; lightning/pytorch/trainer/call.py asks for it all the same
    warnings.filterwarnings("ignore", ".*callbacks used to create the checkpoint need to be provided.*")
    # a resumed run has a folder of its own; the best checkpoint of the first part stays in the first run's folder
    warnings.filterwarnings("ignore", ".*The dirpath has changed from.*")
    # frozen layers stay in evaluation mode, and are meant to
    warnings.filterwarnings("ignore", ".*in eval mode at the start of training.*")
    # short epochs are usual here, and the metrics of an epoch are logged whatever log_every_n_steps is
    warnings.filterwarnings("ignore", ".*is smaller than the logging interval.*")
    # the size that the summary shows is that of weights in 32 bits, which mixed precision keeps
    warnings.filterwarnings("ignore", ".*is not supported by the model summary.*")
    # a run that another command starts finds its folder made, with what it prints in it
    warnings.filterwarnings("ignore", "Experiment logs directory .* exists and is not empty.*")
    # where no sample validates, the loader of validation is an empty list, and is meant to be
    warnings.filterwarnings("ignore", "Total length of `list` across ranks is zero.*")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_no_tip)


def _is_no_tip(record: logging.LogRecord) -> bool:
    return "💡 Tip" not in record.getMessage()

"""Running a ``Trainer`` for people who do not train."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

HARMLESS = (".*does not have many workers.*", ".*isinstance\\(treespec, LeafSpec\\).*")  # warnings of Lightning


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without what Lightning says of devices and workers."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for expected in HARMLESS:
                warnings.filterwarnings("ignore", expected)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

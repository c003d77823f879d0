"""The places of a run at which a checkpoint can be written."""

from enum import StrEnum

__all__ = ["Moment"]


class Moment(StrEnum):
    """Where in a run a checkpoint was written."""

    BETWEEN_BATCHES = "between batches"
    BATCH_END = "batch end"
    IN_VALIDATION = "in validation"
    VALIDATION_END = "validation end"
    EPOCH_END = "epoch end"
    END = "end"
    ELSEWHERE = "elsewhere"

"""Steps that went wrong: what is kept of them, where they broke, and how they are made again."""

from leyden.incidents.examination import Examination, examine
from leyden.incidents.kept_batch import keep_batch, kept_batch
from leyden.incidents.records import Incident, IncidentFolder, read_incident
from leyden.incidents.replaying import Source, quiet_lightning, replay, replay_incident
from leyden.incidents.replays import MadeStep, Replay
from leyden.incidents.rows import BadRow, find_bad_rows
from leyden.incidents.step_start import StepStart, carries_gradients, restore_start
from leyden.incidents.true_loss import as_recorded, gradient_scaler, true_loss
from leyden.incidents.watch import Facts, LossWatch, Trouble
from leyden.incidents.writer import IncidentWriter, Sighting

__all__ = [
    "BadRow",
    "Examination",
    "Facts",
    "Incident",
    "IncidentFolder",
    "IncidentWriter",
    "LossWatch",
    "MadeStep",
    "Replay",
    "Sighting",
    "Source",
    "StepStart",
    "Trouble",
    "as_recorded",
    "carries_gradients",
    "examine",
    "find_bad_rows",
    "gradient_scaler",
    "keep_batch",
    "kept_batch",
    "quiet_lightning",
    "read_incident",
    "replay",
    "replay_incident",
    "restore_start",
    "true_loss",
]

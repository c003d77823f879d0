"""What every test can use."""

import logging
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from lightning_utilities.core.inheritance import get_all_subclasses as subclasses
from torch.utils.data import BatchSampler, DataLoader

collect_ignore_glob = ["*_script.py"]  # which tests run as processes, with arguments

# Where it is ignored, as in a shell's background, no process that is started here could be stopped.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def leave_the_process_as_it_was() -> Iterator[None]:
    """Undo what an application, or a Lightning that met an error, does to its process."""
    root, on_interrupt = logging.getLogger(), signal.getsignal(signal.SIGINT)
    handlers, level, made_by = list(root.handlers), root.level, constructors()
    yield
    signal.signal(signal.SIGINT, on_interrupt)
    for name, logger in logging.Logger.manager.loggerDict.items():
        if name.split(".")[0] == "leyden" and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)
    GlobalHydra.instance().clear()
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    for (cls, name), original in made_by.items():
        if original is not None:
            setattr(cls, name, original)
        elif name in vars(cls):
            delattr(cls, name)


def constructors() -> dict[tuple[type, str], object | None]:
    """What Lightning replaces on loaders' classes, and leaves so if a hook for one raises."""
    classes = {kind for base in (DataLoader, BatchSampler) for kind in (base, *subclasses(base))}
    names = ("__init__", "__setattr__", "__delattr__")
    return {(cls, name): vars(cls).get(name) for cls in classes for name in names}


@pytest.fixture(scope="session")
def mlflow_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of MLflow without a run, to be copied: making one takes seconds."""
    mlflow = pytest.importorskip("mlflow")
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, of its database
        mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path

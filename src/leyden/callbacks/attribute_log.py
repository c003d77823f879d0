"""Write down what the objects of a run hold when it begins."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from leyden.callbacks.run_folder import folder_to_write
from leyden.files import replacing
from leyden.report import describe
from leyden.runs import RunDir

__all__ = ["AttributeLog"]

_LIGHTNINGS = ("log", "log_dict")  # methods that it gives to callbacks


class AttributeLog(Callback):
    """Write the attributes of the module, the data module and the callbacks as training begins.

    What can be read as it is, is; arrays are told by their shape, other objects by their class. A
    development run (``fast_dev_run``) leaves no file, and a run that goes on replaces it.

    Args:
        path: The JSON file; ``attributes.json`` in the folder of the run if ``None``.
        exclude: Names that are left out, in which ``*`` stands for any part.

    Example:
        >>> from lightning import Trainer
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[AttributeLog()])
    """

    def __init__(
        self, path: str | Path | None = None, *, exclude: str | Sequence[str] = ()
    ) -> None:
        super().__init__()
        self._path = None if path is None else Path(path)
        names = (exclude,) if isinstance(exclude, str) else exclude
        self._exclude = (*names, *_LIGHTNINGS)

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder = folder_to_write(trainer)
        if folder is None:
            return
        data = trainer.datamodule  # type: ignore[attr-defined] # set outside its class
        things: dict[str, Any] = {"module": pl_module, "hyper-parameters": dict(pl_module.hparams)}
        things |= {} if data is None else {"data": data}
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined] # likewise
        things |= {f"callback {type(one).__name__}": one for one in callbacks}
        facts = {name: describe(one, exclude=self._exclude) for name, one in things.items()}
        with replacing(self._path or RunDir(folder).attributes_path) as temporary:
            temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")

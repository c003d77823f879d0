"""Watch five modules that know nothing of leyden: a line a callback, no change to the modules."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.demos import LightningTransformer
from lightning.pytorch.demos import boring_classes as boring
from lightning.pytorch.demos.lstm import LightningLSTM, SimpleLSTM
from torch.utils.data import DataLoader, TensorDataset

from leyden import callbacks as watch
from leyden.lifecycle import Every
from leyden.tracking import FileLogger, read_metrics

positive: Any = {  # where scores and targets are, for modules that return neither
    "scores": lambda _outputs, batch: batch.mean(1).sigmoid(),
    "targets": lambda _outputs, batch: batch[:, 0] > 0,
}


OPTIONS: Any = {"max_epochs": 2, "accelerator": "cpu", "log_every_n_steps": 1} | dict.fromkeys(
    ("limit_train_batches", "limit_val_batches"), 4
)
QUIET: Any = dict.fromkeys(("enable_progress_bar", "enable_model_summary"), False)


def make_callbacks() -> list[Any]:
    return [
        watch.GradientMonitor(Every(batches=1)),
        watch.WeightMonitor(Every(batches=1)),
        watch.ActivationMonitor(Every(batches=1)),
        watch.HealthMonitor(Every(epochs=1)),
        watch.BatchMonitor(),
        watch.RunCard(),
        watch.FlightRecorder(jump=None),
        watch.NaNGuard(),
        watch.Reseeder(0, {"train:epoch": 1}),
        watch.ThresholdTuner("accuracy", **positive),
        watch.SubsetSelector(2, "accuracy", **positive),
    ]


def make_projects() -> dict[str, tuple[LightningModule, Any]]:
    tokens = TensorDataset(*torch.randint(33, (2, 16, 7)))
    texts = DataLoader(tokens, batch_size=4)
    transformer, lstm = LightningTransformer(vocab_size=33), LightningLSTM(vocab_size=33)
    lstm.model = SimpleLSTM(33, ninp=16, nhid=16, nlayers=2)  # smaller
    for demo in (transformer, lstm):
        demo.prepare_data = lambda: None  # type: ignore[method-assign] # downloads nothing
    return {
        "boring": (boring.BoringModel(), boring.BoringDataModule()),
        "manual": (boring.ManualOptimBoringModel(), boring.BoringDataModule()),
        "demo": (boring.DemoModel(), DataLoader(boring.RandomDataset(32, 64), batch_size=8)),
        "transformer": (transformer, texts),
        "lstm": (lstm, texts),
    }


def main() -> dict[str, list[str]]:
    """Train each for two epochs; give the kinds of figures that each has in its metrics."""
    torch.manual_seed(0)
    found = {}
    for name, (module, data) in make_projects().items():
        with TemporaryDirectory() as folder:
            places: Any = {"logger": FileLogger(folder), "default_root_dir": folder}
            trainer = Trainer(**OPTIONS, **QUIET, **places, callbacks=make_callbacks())
            trainer.fit(module, data)
            files = {path.name for path in Path(folder).iterdir()}
            kinds = {key.partition("/")[0] for key in read_metrics(Path(folder, "metrics.csv"))}
            found[name] = sorted(kinds | files)
        print(f"{name:12} {' '.join(found[name])}")
    return found


if __name__ == "__main__":
    main()

"""Tell an experiment in a dictionary, train it, and predict from a file in which nothing is run."""

from pathlib import Path
from tempfile import TemporaryDirectory

from lightning import seed_everything
from sklearn.datasets import load_digits

from leyden import Experiment

TOLD = {
    "data": {
        "dataset": {"type": "digits"},
        "samples": {"train": 0.7, "val": 0.1, "test": 0.2},
        "preprocessors": [{"type": "normalize", "mean": 0.3, "std": 0.4}],
        "data_augmentors": [
            {"type": "shear", "probability": 0.5, "max_shear_left": 10, "max_shear_right": 10}
        ],
    },
    "model": {
        "model": {"type": "cnn", "filters": [16], "optimizer": {"type": "adam", "lr": 0.01}},
        "training": {"epochs": 6, "batch_size": 32},
    },
    "trainer": {"accelerator": "cpu", "enable_progress_bar": False},
}


class Clock:
    """Tells how the experiment comes on."""

    def on_fit_model_begin(self) -> None:
        print("the data is there")

    def on_evaluate_model_begin(self) -> None:
        print("the model is trained")


def main() -> float:
    """Train, save, load, and return the share of the test digits that are recognised."""
    seed_everything(0, verbose=False)
    experiment = Experiment.from_dict(TOLD)
    outcome = experiment.train(callbacks=[Clock()])
    seconds = outcome["elapsed"]["fit_model"]["duration"]
    print(f"trained in {seconds:.1f} s, val_accuracy {outcome['metrics']['val_accuracy'][-1]:.2f}")

    images = (load_digits().images[:5] / 16)[:, None]
    with TemporaryDirectory() as folder:
        experiment.save(Path(folder, "digits.zip"))
        loaded = Experiment.load(Path(folder, "digits.zip"))
    print("the first five digits are", *loaded.predict(images))
    (accuracy,) = outcome["metrics"]["test_accuracy"]
    return float(accuracy)


if __name__ == "__main__":
    print(f"recognised {main():.2f}")

"""A trained model in use: read from the checkpoint that `fastopt train` writes, and asked about new data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.checkpoint import CheckpointError
from fastopt.train import blas, checkpoint_file, runs
from fastopt.train.checks import path_of
from fastopt.train.data import as_rows
from fastopt.train.encoding import Encoding
from fastopt.train.model import CHUNK_ROWS
from fastopt.train.optimizers import build_model
from fastopt.train.readers import read_features
from fastopt.train.runs import Result
from fastopt.train.settings import Settings

Array = NDArray[Any]


class Predictor:
    """A trained model with all that its predictions need: `fastopt.train.load` reads one.

    Attributes
    ----------
    run : str
        Label of the training run that it is from.
    model : MLP
    labels : tuple
        The classes as the training data has them; empty for a regression.
    features : tuple of str
        Names of the columns it was trained on; empty where they had none.
    target : str or None
        Name of the column that it predicts.
    """

    def __init__(self, state: dict[str, Any], result: Result) -> None:
        settings, data = Settings.from_dict(state["settings"]), state["data"]
        self.run = str(result["label"])
        self.encoding = Encoding.from_dict(state)
        self.labels = self.encoding.labels
        self.features, self.target = tuple(data["features"]), data["target"]
        self.image_shape = data["image_shape"]
        self.n_features = self.encoding.sizes[0]
        self.model = build_model(runs.larger(settings) if result["larger"] else settings, self.encoding)
        self.model.restore(result)
        self.blas_threads = settings.blas_threads

    def __repr__(self) -> str:
        sizes = "-".join(map(str, self.model.sizes))
        return f"<fastopt.train.Predictor {self.run}: {sizes}, {self.encoding.output.name}>"

    def predict(self, X: Any) -> Array:
        """Labels of classes (rows,), or values of a regression: (rows,), (rows, targets) for several targets.

        Both are in the units of the training data, and so is X.

        Parameters
        ----------
        X : array_like of shape (rows, features) or (rows, height, width)

        Raises
        ------
        ValueError
            If X has another number of features than the training data, or a number that is not finite.
        """
        answers = self.encoding.predictions(self._values(X))
        if self.labels:
            return np.array(self.labels)[answers]
        return answers[:, 0] if self.encoding.columns == 1 else answers

    def probabilities(self, X: Any) -> Array:
        """What the model gives each class, (rows, classes) in the order of `labels`; classes only."""
        if not self.labels:
            raise ValueError("probabilities: expected a model of classes, got one of a regression")
        return self.encoding.probabilities(self._values(X))

    def read(self, path: str | Path) -> Array:
        """The features of a `.csv` or `.npz` to predict for, whether or not it has the target as well."""
        return read_features(path_of("path", path), self.features, self.n_features)

    def _values(self, X: Any) -> Array:
        x, image_shape = as_rows("data", np.asarray(X))
        wanted = f"{self.n_features} features"
        if self.image_shape is not None:
            wanted += " (images of {} x {})".format(*self.image_shape)
        if x.shape[1] != self.n_features:
            raise ValueError(f"X: expected {wanted} as in the training data, got {x.shape[1]}")
        if image_shape is not None and image_shape != self.image_shape:
            raise ValueError(f"X: expected {wanted}, got images of {image_shape[0]} x {image_shape[1]}")
        # The threads of the training, so that the sums of a matrix product are those of the training as well.
        suitable = blas.suitable(min(len(x), CHUNK_ROWS), self.model.sizes)
        with blas.limited(self.blas_threads or suitable):
            return self.model.values(self.encoding.x_scale.apply(x))


def load(path: str | os.PathLike[str], run: str | None = None) -> Predictor:
    """The trained model in a checkpoint of `fastopt train`, by default `fastopt-train/checkpoint.npz`.

    Parameters
    ----------
    path : str or path-like
        What `fastopt train` wrote as "model". The training data is not needed any more.
    run : str, optional
        Label of the run whose model is wanted, as the table of `fastopt train` shows it; by default that of
        least validation loss.

    Raises
    ------
    CheckpointError
        If the file is no checkpoint of `fastopt train`, is damaged, or holds no finished run yet.
    ValueError
        If there is no such run, or it diverged.
    OSError
        As the system reports it, such as FileNotFoundError.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastopt.train
    >>> path = os.path.join(tempfile.mkdtemp(), "checkpoint.npz")
    >>> settings = fastopt.train.Settings(epochs=5, hidden=(32,))
    >>> fastopt.train.Session(settings).run(checkpoint=path)
    True
    >>> model = fastopt.train.load(path)
    >>> digits = fastopt.train.digits()
    >>> bool((model.predict(digits.x) == digits.y).mean() > 0.8)
    True
    """
    path = path_of("path", path)
    state = checkpoint_file.load(path)
    results: list[Result] = state["results"]
    if not results:
        raise CheckpointError(
            f"{path}: expected a finished run, got a training that was stopped before: resume it"
        )
    if run is None:
        best = runs.best_of([result for result in results if not result["larger"]])
        if best is None:
            raise CheckpointError(f"{path}: expected a run that can be used, got only ones that diverged")
        return Predictor(state, best)
    chosen = next((result for result in results if result["label"] == run), None)
    if chosen is None:
        known = "; ".join(str(result["label"]) for result in results)
        raise ValueError(f"run: expected one of the finished runs of {path} ({known}), got {run!r}")
    if chosen["metrics"] is None:
        raise ValueError(f"run: expected one that can be used, got {run!r}, which diverged")
    return Predictor(state, chosen)

"""Test images worth looking at: the mistakes, and the close calls."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.train.report import png
from fastopt.train.report.markup import element
from fastopt.train.report.tested import Tested

Array = NDArray[Any]


def mistakes(tested: Tested, limit: int = 18) -> str:
    """The misclassified test images, the most confident mistakes first."""
    wrong = np.flatnonzero(tested.predicted != tested.actual)
    worst = wrong[np.argsort(-tested.certainty[wrong], kind="stable")][:limit]
    return _images(tested, worst) if len(worst) else element("p", "There are none.")


def close_calls(tested: Tested, limit: int = 15) -> str:
    """The rightly classified test images that the model was least sure of."""
    right = np.flatnonzero(tested.predicted == tested.actual)
    closest = right[np.argsort(tested.certainty[right], kind="stable")][:limit]
    return _images(tested, closest)


def _images(tested: Tested, chosen: Array) -> str:
    dataset, actual, predicted = tested.dataset, tested.actual, tested.predicted
    assert dataset.image_shape is not None
    names = [escape(name) for name in dataset.classes]
    brightest = float(np.abs(dataset.x).max()) or 1.0
    parts = []
    for i in chosen:
        image = dataset.x[tested.rows[i]].reshape(dataset.image_shape)
        picture = element("img", src=png.ink(np.abs(image.astype(np.float64)) / brightest), alt="")
        said = element("b", names[actual[i]])
        if predicted[i] != actual[i]:
            said += " taken for " + element("b", names[predicted[i]])
        said += element("span", f"{100 * tested.certainty[i]:.0f} % sure")
        parts.append(element("figure", picture + element("figcaption", said)))
    return element("div", "".join(parts), class_="images")

"""Test images worth looking at: the mistakes, and the close calls."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.mlp.problem import Problem
from fastopt.mlp.report import png
from fastopt.mlp.report.markup import element

Result = dict[str, Any]
Array = NDArray[Any]


def mistakes(problem: Problem, result: Result, limit: int = 18) -> str:
    """The misclassified test images, the most confident mistakes first."""
    predicted, certainty = _answers(problem, result)
    wrong = np.flatnonzero(predicted != problem.y["test"])
    worst = wrong[np.argsort(-certainty[wrong], kind="stable")][:limit]
    return _images(problem, predicted, certainty, worst) if len(worst) else element("p", "There are none.")


def close_calls(problem: Problem, result: Result, limit: int = 15) -> str:
    """The rightly classified test images that the model was least sure of."""
    predicted, certainty = _answers(problem, result)
    right = np.flatnonzero(predicted == problem.y["test"])
    closest = right[np.argsort(certainty[right], kind="stable")][:limit]
    return _images(problem, predicted, certainty, closest)


def _answers(problem: Problem, result: Result) -> tuple[Array, Array]:
    """The predicted class of each test row and the probability that the model gave to it."""
    z = result["test_values"]
    predicted = problem.predictions(z)
    p = problem.output.predict(z)
    if problem.single_column:
        return predicted, np.where(predicted == 1, p[:, 0], 1 - p[:, 0])
    return predicted, np.clip(p[np.arange(len(p)), predicted], 0.0, 1.0)


def _images(problem: Problem, predicted: Array, certainty: Array, rows: Array) -> str:
    assert problem.dataset.image_shape is not None
    names, actual = [escape(name) for name in problem.dataset.classes], problem.y["test"]
    brightest = float(np.abs(problem.dataset.x).max()) or 1.0
    parts = []
    for i in rows:
        image = problem.dataset.x[problem.rows.test[i]].reshape(problem.dataset.image_shape)
        picture = element("img", src=png.ink(np.abs(image.astype(np.float64)) / brightest), alt="")
        said = element("b", names[actual[i]])
        if predicted[i] != actual[i]:
            said += " taken for " + element("b", names[predicted[i]])
        said += element("span", f"{100 * certainty[i]:.0f} % sure")
        parts.append(element("figure", picture + element("figcaption", said)))
    return element("div", "".join(parts), class_="images")

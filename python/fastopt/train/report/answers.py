"""What a model answered on the test rows: confusions and pictures of classes, figures of a regression."""

from __future__ import annotations

import base64
import io
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.image import imsave
from numpy.typing import NDArray

from fastopt.train import metrics
from fastopt.train.report import plot
from fastopt.train.report.tested import Tested

Array = NDArray[Any]
# Regression targets shown as a scatter plot each.
SCATTERS = 4
DASHES: dict[str, Any] = {"color": plot.PAINT["soft"], "alpha": 0.6, "linewidth": 1, "dashes": (5, 5)}


class Picture(NamedTuple):
    """A test image as a data: URI, and what the model said of it."""

    uri: str
    actual: str
    predicted: str
    certainty: float


def confusion(tested: Tested) -> Array:
    """Counts, actual classes down, predicted ones across."""
    return metrics.confusion(tested.predicted, tested.actual, len(tested.dataset.classes))


def shade(count: int, total: int, right: bool) -> float:
    """The opacity of a cell; a single mistake among many must still be seen: its shade starts at a third."""
    share = count / max(total, 1)
    return share if right else min(1.0, 0.35 + 3 * share)


def frequent_mistakes(tested: Tested, limit: int = 12) -> list[tuple[str, str, int]]:
    """(actual, predicted, rows) of the most frequent confusions, for many classes."""
    counts, classes = confusion(tested), tested.dataset.classes
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:limit]
    pairs = [divmod(int(k), len(classes)) for k in order]
    return [(classes[i], classes[j], int(counts[i, j])) for i, j in pairs if counts[i, j]]


def mistakes(tested: Tested, limit: int = 18) -> list[Picture]:
    """The misclassified test images, the most confident mistakes first."""
    wrong = np.flatnonzero(tested.predicted != tested.actual)
    return _pictures(tested, wrong[np.argsort(-tested.certainty[wrong], kind="stable")][:limit])


def close_calls(tested: Tested, limit: int = 15) -> list[Picture]:
    """The rightly classified test images that the model was least sure of."""
    right = np.flatnonzero(tested.predicted == tested.actual)
    return _pictures(tested, right[np.argsort(tested.certainty[right], kind="stable")][:limit])


def _pictures(tested: Tested, chosen: Array) -> list[Picture]:
    dataset = tested.dataset
    assert dataset.image_shape is not None
    brightest = float(np.abs(dataset.x).max()) or 1.0
    found = []
    for i in chosen:
        image = np.abs(dataset.x[tested.rows[i]].reshape(dataset.image_shape).astype(np.float64)) / brightest
        names = (dataset.classes[tested.actual[i]], dataset.classes[tested.predicted[i]])
        found.append(Picture(_ink(image), *names, tested.certainty[i]))
    return found


def _ink(image: Array) -> str:
    """Black, as opaque as the image's values from 0 to 1 say."""
    pixels, file = np.zeros((*image.shape, 4), np.uint8), io.BytesIO()
    nameless: Any = {"Software": None}
    pixels[..., 3] = np.clip(np.round(image * 255), 0, 255)
    imsave(file, pixels, format="png", metadata=nameless)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def regression(tested: Tested) -> list[tuple[str, str, Markup]]:
    """(title, note, figure) of each target: predictions over actual values, and the errors."""
    panels = []
    for i in range(min(tested.dataset.outputs, SCATTERS)):
        which = f", target {i + 1}" if tested.dataset.outputs > 1 else ""
        actual, predicted = tested.actual[:, i], tested.predicted[:, i]
        panels.append((f"Predictions{which}", "", _scatter(actual, predicted)))
        panels.append((f"Errors{which}", "predicted - actual", _errors(predicted - actual)))
    return panels


def _scatter(actual: Array, predicted: Array, limit: int = 1500) -> Markup:
    actual, predicted = actual[:limit], predicted[:limit]
    ax = _square("actual", "predicted")
    # Polygons that look like circles, in a third of their length.
    dots = {"marker": (12, 0), "linestyle": "", "markersize": 6, "markeredgewidth": 0}
    ax.plot(actual, predicted, color=plot.PAINT["accent"], alpha=0.55, **dots)
    ax.margins(0.04)
    ends = min(ax.get_xlim()[0], ax.get_ylim()[0]), max(ax.get_xlim()[1], ax.get_ylim()[1])
    ax.set(xlim=ends, ylim=ends)
    ax.axline((ends[0], ends[0]), (ends[1], ends[1]), **DASHES)
    return plot.svg(ax, "predicted over actual values", "scatter")


def _errors(difference: Array, bins: int = 24) -> Markup:
    largest = float(np.abs(difference).max()) or 1.0
    ax = _square("error", "test rows")
    ax.hist(difference, bins, range=(-largest, largest), rwidth=0.94, color=plot.PAINT["accent"])
    ax.set(xlim=(-largest, largest))
    ax.axvline(0, **DASHES)
    return plot.svg(ax, "histogram of the errors", "scatter")


def _square(x: str, y: str) -> plot.Axes:
    ax = plot.axes(x, y, square=True)
    ax.spines["bottom"].set_visible(False)
    return ax

"""Images moved, turned and made noisy a little, anew for every batch, so that a model learns to ignore it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.train import specs

Array = NDArray[Any]


@dataclass(frozen=True)
class Amounts:
    """How much at most: `shift` in pixels, `rotate` in degrees; `noise` is a standard deviation.

    The unit of the noise is the standard deviation of the pixels.
    """

    shift: float = 0.0
    rotate: float = 0.0
    noise: float = 0.0


#: What `--augment` alone means: on the digits the mean test accuracy of six seeds rose from 98.4 to 98.9 %.
DEFAULT = "shift=0.5,rotate=10,noise=0.1"


def parse(text: str) -> Amounts:
    """Read shift=X,rotate=X,noise=X, each optional.

    >>> parse("shift=1,noise=0.1")
    Amounts(shift=1.0, rotate=0.0, noise=0.1)
    """
    given = specs.parse(f"images:{text}", "augment").options
    return Amounts(**specs.amounts(given, list(Amounts.__dataclass_fields__), "augment"))


class Augmenter:
    """Draws a variant of each image of a batch.

    Each image is shifted along both axes and turned around its middle by amounts uniform within the limits,
    its new pixels interpolated bilinearly between the old ones, 0 (the raw data's) beyond its edges; then
    normal noise is added to each pixel.

    Parameters
    ----------
    amounts : Amounts
    image_shape : (int, int)
        Height and width.
    zero : ndarray of shape (height * width,)
        What a raw 0 is in the batches, which are standardised.
    """

    def __init__(self, amounts: Amounts, image_shape: tuple[int, int], zero: Array) -> None:
        self.amounts = amounts
        self.height, self.width = image_shape
        self.zero = np.asarray(zero, np.float32)
        rows, columns = np.indices(image_shape, dtype=np.float32)
        self.y = rows.ravel() - (self.height - 1) / 2
        self.x = columns.ravel() - (self.width - 1) / 2

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        """A variant of x (rows, height * width); what it is depends on the generator alone."""
        amounts = self.amounts
        if amounts.shift or amounts.rotate:
            angle = math.radians(amounts.rotate) * rng.uniform(-1, 1, (len(x), 1)).astype(np.float32)
            down, right = amounts.shift * rng.uniform(-1, 1, (2, len(x), 1)).astype(np.float32)
            x = self._moved(x - self.zero, angle, down, right) + self.zero
        if amounts.noise:
            x = x + np.float32(amounts.noise) * rng.standard_normal(x.shape, np.float32)
        return x

    def _moved(self, x: Array, angle: Array, down: Array, right: Array) -> Array:
        """The images turned clockwise by `angle` and moved; each amount is (rows, 1)."""
        sine, cosine = np.sin(angle), np.cos(angle)
        # Where each new pixel comes from; beyond one pixel outside the image there is nothing but 0.
        y, x_ = self.y - down, self.x - right
        from_y = np.clip(cosine * y - sine * x_ + (self.height + 1) / 2, 0, self.height + 1)
        from_x = np.clip(sine * y + cosine * x_ + (self.width + 1) / 2, 0, self.width + 1)
        top, left = np.minimum(np.floor(from_y), self.height), np.minimum(np.floor(from_x), self.width)
        low, near = from_y - top, from_x - left
        framed = np.zeros((len(x), self.height + 2, self.width + 2), np.float32)
        framed[:, 1:-1, 1:-1] = x.reshape(-1, self.height, self.width)
        pixels, below = framed.ravel(), self.width + 2
        corner = top.astype(np.intp) * below + left.astype(np.intp)
        corner += np.arange(len(x))[:, None] * framed[0].size
        upper = pixels[corner] * (1 - near) + pixels[corner + 1] * near
        lower = pixels[corner + below] * (1 - near) + pixels[corner + below + 1] * near
        moved: Array = upper * (1 - low) + lower * low
        return moved

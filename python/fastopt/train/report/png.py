"""Small pictures as data: URIs, by a PNG writer of a few lines (PNG specification, W3C 2003)."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

# PNG's colour type of pixels with a grey value and an opacity.
GREY_ALPHA = 4


def ink(image: NDArray[np.float64]) -> str:
    """A picture of shape (height, width): black, as opaque as its values from 0 to 1 say."""
    opacity = np.clip(np.round(image * 255), 0, 255).astype(np.uint8)
    pixels = np.stack([np.zeros_like(opacity), opacity], axis=-1)
    height, width, _ = pixels.shape
    # Every line begins with its filter type, here 0: none.
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, GREY_ALPHA, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

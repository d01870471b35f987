"""What every example shares: where pictures go, and how they look."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from PIL import Image

PICTURES = Path(__file__).parent / "pictures"

#: Colour-blind safe (Okabe and Ito 2008, their yellow replaced by a brown that shows on white).
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31"]

plt.rcParams.update(
    {
        "axes.prop_cycle": plt.cycler(color=COLOURS),
        "axes.grid": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": 10,
        "axes.labelsize": 9,
        "figure.constrained_layout.use": True,
        "figure.titlesize": 12,
        "font.size": 9,
        "grid.alpha": 0.25,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "savefig.dpi": 110,
    }
)


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every example takes."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "--out", type=Path, default=PICTURES, help="directory of the pictures (default: %(default)s)"
    )
    return p


def save(figure: Any, out: Path, name: str) -> Path:
    """Write the figure as `name`.png and say so."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.png"
    figure.savefig(path)
    # 256 colours are enough for a drawing, and a third of the bytes.
    Image.open(path).convert("RGB").quantize(256, kmeans=4, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    plt.close(figure)
    print(f"{path}  ({time.process_time():.0f} s of processor time so far)")
    return path

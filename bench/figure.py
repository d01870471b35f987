"""The figure of README.md, from step.json: PyTorch's time over ours, by size and by rule."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from claims import best_of_step, number

COLORS = ("#4878a8", "#d1783c", "#5a9a68")


def points(results: list[dict[str, Any]]) -> dict[str, Any]:
    """What is drawn: by level the ratios of Adam's sizes, and of the best level those of the rules."""
    sizes = {
        level["machine"]["level"]: [
            (int(re.findall(r"\^(\d+)", row["case"])[0]), row["ratio"])
            for row in level["tables"]["one"]
            if number(row.get("ratio"))
        ]
        for level in results
        if "one" in level["tables"]
    }
    best = best_of_step(results)
    rules = [
        (row["case"].removesuffix(", 20 M"), row["ratio"])
        for row in best["tables"]["rules"]
        if number(row.get("ratio"))
    ]
    return {"sizes": sizes, "rules": sorted(rules, key=lambda r: r[1]), "machine": best["machine"]}


def digest_of(results: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(points(results), sort_keys=True).encode()).hexdigest()[:16]


def digest(path: Path) -> str | None:
    """Of which numbers an existing figure was made."""
    found = re.search(r"data ([0-9a-f]{16})", path.read_text(encoding="utf-8")) if path.exists() else None
    return found[1] if found else None


def draw(results: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    data = points(results)
    m = data["machine"]
    style = {"font.size": 10, "svg.hashsalt": "fastopt", "axes.spines.top": False, "axes.spines.right": False}
    with plt.rc_context(style):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), facecolor="white")
        for color, (level, some) in zip(COLORS, data["sizes"].items(), strict=False):
            left.plot(*zip(*some, strict=True), "o-", color=color, label=f"level {level}", markersize=4)
        left.set(yscale="log", xlabel="elements of the tensor", ylabel="PyTorch's time over ours")
        exponents = sorted({e for some in data["sizes"].values() for e, _ in some})
        left.set_xticks(exponents, [f"$2^{{{e}}}$" if e % 2 == 0 else "" for e in exponents])
        left.set_yticks([1, 2, 5, 10, 20, 40], ["1", "2", "5", "10", "20", "40"])
        left.minorticks_off()
        left.axhline(1, color="black", lw=0.8)
        left.grid(axis="y", alpha=0.3)
        left.legend(frameon=False)
        left.set_title("Adam, one tensor, one thread, PyTorch fused", fontsize=10)
        names, ratios = zip(*data["rules"], strict=True)
        bars = right.barh(names, ratios, color=COLORS[0], height=0.7)
        right.bar_label(bars, [f"{r:.1f}" for r in ratios], padding=3, fontsize=9)
        right.set(xscale="log", xlim=(0.7, 2 * max(ratios)), xlabel="PyTorch's time over ours")
        right.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
        right.minorticks_off()
        right.axvline(1, color="black", lw=0.8)
        right.set_title(f"20 million elements, one thread, level {m['level']}", fontsize=10)
        figure.text(
            0.01,
            0.005,
            f"float32; {m['processor']}, {m['cpus']} CPUs, PyTorch {m['torch']}, {m['date']}",
            fontsize=8,
            color="#555555",
        )
        figure.tight_layout(rect=(0, 0.03, 1, 1))
        figure.savefig(path, metadata={"Date": None, "Description": f"data {digest_of(results)}"})
        plt.close(figure)

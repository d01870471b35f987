"""The tables inside bench/README.md and README.md, each from the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from itertools import groupby

from claims import RESULTS, Judged, Row, best_of_step, judged, number, read, rows, step_row, unmeasured
from reasons import why
from tables import spread_of
from targets import plural, shown

HEADLINE = (
    *(f"Adam 2^{e}, 1 thread" for e in (10, 14, 18, 24)),
    "AdamW, 1000 tensors of 64",
    "SGD, 1000 tensors of 64",
    *(f"{name}, 20 M" for name in ("Adam", "AdamW", "RMSprop", "NAdam", "RAdam")),
    "clip + AdamW + EMA + zeroing, 20 M",
)


def table(head: str, lines: list[str]) -> str:
    return "\n".join([head, "|" + "---|" * (head.count("|") - 1), *lines]) + "\n"


def measured(found: list[Judged]) -> str:
    """Every measured value of one target, misses in bold."""
    return "; ".join(
        f"{j.source} {j.level} " + ("" if j.met else "**") + exact(j) + ("" if j.met else "**") for j in found
    )


def exact(j: Judged) -> str:
    """With a digit more where two would show a miss as the target itself."""
    text = shown(j.target.of, j.value)
    return f"{j.value:.3f}x" if not j.met and text == shown(j.target.of, j.target.bound) else text


def by_target(found: list[Judged]) -> Iterator[tuple[Judged, list[Judged]]]:
    key = lambda j: (j.case, j.target)  # noqa: E731
    order = {k: i for i, k in enumerate(dict.fromkeys(map(key, found)))}
    for _, group in groupby(sorted(found, key=lambda j: order[key(j)]), key):
        several = list(group)
        yield several[0], several


def misses() -> str:
    """All that any result misses, by its reason; then what no result has measured."""
    found = judged()
    missed = [(f, s) for f, s in by_target(found) if not all(j.met for j in s)]
    parts = []
    for reason in dict.fromkeys(why(first.case) for first, _ in missed):
        lines = [
            f"| {first.case} | {first.target} | {measured(several)} |"
            for first, several in missed
            if why(first.case) == reason
        ]
        head = "| case | wanted | measured (result, level; misses bold) |"
        text = reason or "The reason is not known yet"
        parts.append(f"{text[0].upper()}{text[1:]}.\n\n{table(head, lines)}")
    lacking = [f"- {case}: {target} ({part})" for part, case, target in unmeasured(found)]
    if lacking:
        parts.append("Wanted, and not measured in any result kept here:\n\n" + "\n".join(lacking) + "\n")
    return "\n".join(parts)


def met() -> str:
    """How many targets there are, and how many are met in every result."""
    groups = [several for _, several in by_target(judged())]
    always = sum(all(j.met for j in several) for several in groups)
    return (
        f"Of {len(groups) + len(unmeasured(judged()))} targets {always} are met in every result kept here, "
        f"{len(groups) - always} are missed in at least one, and {len(unmeasured(judged()))} are not "
        f"measured.\n"
    )


def large() -> str:
    """Medians over processes, Adam and AdamW by size and threads."""
    best = best_of_step(read(RESULTS / "step.json"))
    found = {row["case"]: row for row in best["tables"].get("large", []) if row["ratio"] is not None}
    columns = [(e, t) for t in (1, 2) for e in (22, 24, 26)]
    lines = []
    for name in ("Adam", "AdamW"):
        cells = []
        for e, t in columns:
            row = found.get(f"{name} 2^{e}, {plural(t)}, 5 processes")
            if row is None:
                cells.append("not measured")
                continue
            low, high = row["spread"]
            text = f"{row['ratio']:.2f}x ({low:.2f} to {high:.2f})"
            cells.append(text if row["ratio"] >= 1.05 else text + ", **missed**")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return table("| | " + " | ".join(f"2^{e}, {plural(t)}" for e, t in columns) + " |", lines)


def eigh() -> str:
    """NumPy's time over ours by order, one and two threads."""
    found = {row["case"]: row["ratio"] for _, row in rows("eigh", read(RESULTS / "eigh.json"))}
    orders = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
    lines = []
    for what, kind, some in (
        ("", "random", orders),
        (", rank n/10", "rank n/10", orders),
        (", stacks of 4096", "4096 stacked", orders),
    ):
        for name, label in (("eigvalsh", "values"), ("eigh", "vectors")):
            for t in (1, 2):
                ratios = [found.get(f"{name} {kind}, n = {n}, {plural(t)}") for n in some]
                cells = [f"{r:.1f}" if r is not None else "-" for r in ratios]
                lines.append(f"| {label}{what}, {plural(t)} | " + " | ".join(cells) + " |")
    return table("| | " + " | ".join(f"n = {n}" for n in orders) + " |", lines)


def minimize() -> str:
    """Problems solved and evaluations, beside SciPy's method of each kind."""
    result = read(RESULTS / "minimize.json")
    summary, lines = result["summary"], []
    for a, b in zip(summary[::2], summary[1::2], strict=True):
        cells = [f"{a[key]:,} : {b[key]:,}" for key in ("solved", "evaluations", "on_common")]
        lines.append(f"| {a['method']} : {b['method']} | " + " | ".join(cells) + " |")
    own = [
        f"| {r['method']} : {r['peer']} | {r['n']:,} | {r['ours_us']:,.0f} us | {r['theirs_us']:,.0f} us | "
        f"{ratio_text(r['ratio'])} |"
        for r in result["time"]
    ]
    return (
        table("| | solved | evaluations in all | where both solve |", lines)
        + "\nOwn time per iteration, outside f and its gradient:\n\n"
        + table("| | n | ours | SciPy | ratio |", own)
    )


def numbers() -> str:
    """The table of README.md: some rows of step.json at its best level."""
    best = best_of_step(read(RESULTS / "step.json"))
    m = best["machine"]
    found = {row["case"]: step_row(row) for rows_ in best["tables"].values() for row in rows_}
    lines = [
        f"| {case} | {time(row['ours'])} | {time(row['peer'])} | {ratio_text(row['ratio'])} |"
        for case in HEADLINE
        if (row := found.get(case)) and number(row.get("ratio"))
    ]
    where = f"{m['processor']}, {m['cpus']} CPUs, level {m['level']}, PyTorch {m['torch']}, {m['date']}"
    return table("| float32 | ours | PyTorch | ratio |", lines) + f"\n({where}; commit {m['commit']}.)\n"


def wheel() -> str:
    """The size of a built wheel."""
    path = RESULTS / "wheel.json"
    if not path.exists():
        return (
            "The wheel (three levels) measured 1.7 MB at commit a98cd38, and has not been measured since: "
            "`python bench/bench_wheel.py`.\n"
        )
    found = read(path)
    levels = ", ".join(sorted(n.removeprefix("_core_") for n in found["bytes"] if n.startswith("_core")))
    where = (
        f"{found['tags']}, levels {levels}, {found['compiler']}, commit {found['commit']}, {found['date']}"
    )
    return f"The wheel measures {found['bytes']['wheel'] / 1e6:.1f} MB ({where}).\n"


def ratio_text(ratio: float) -> str:
    return f"{ratio:.0f}x" if ratio >= 20 else f"{ratio:.2f}x"


def time(us: float) -> str:
    return f"{us:.1f} us" if us < 100 else f"{us:.0f} us" if us < 1000 else f"{us / 1000:.1f} ms"


def part(name: str) -> str:
    """What `bench_<name>.py` makes of its results, if they have been measured."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return f"Not measured yet: `python bench/run.py --parts {name}`.\n"
    text: str = import_module(f"bench_{name}").markdown(read(path))
    return text


def summary() -> str:
    """The first tables of the page."""
    text: str = import_module("summary").summary()
    return text


def curvature() -> str:
    """Everything in curvature.json that has a target."""
    found: list[Row] = [row for _, row in rows("curvature", read(RESULTS / "curvature.json"))]
    targets = {j.case: j for j in judged() if j.source == "curvature"}
    lines = []
    for row in found:
        j = targets.get(row["case"])
        value = spread_of(j.target.of, [j.value]) if j else ""
        peer = "-" if row.get("peer") is None else f"{row['peer']:.4g} {row['unit']}"
        mine = f"{row['ours']:.4g} {row['unit']}"
        wanted = f"{j.target} | {'met' if j.met else 'MISSED'}" if j else "- | "
        lines.append(f"| {row['case']} | {mine} | {peer} | {value} | {wanted} |")
    return table("| case | ours | peer | measured | wanted | |", lines)


BLOCKS: dict[str, Callable[[], str]] = {
    **{f.__name__: f for f in (summary, misses, met, large, eigh, curvature, minimize, numbers, wheel)},
    **{name: partial(part, name) for name in ("training", "torch", "bytes", "rules", "sparse", "peers")},
}
#: Page, and the blocks that stand in it.
PAGES = {
    "bench/README.md": (
        *("summary", "met", "misses", "large", "bytes", "sparse", "rules"),
        *("torch", "peers", "training", "eigh", "curvature", "minimize"),
    ),
    "README.md": ("numbers", "wheel"),
}

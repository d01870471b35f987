"""Write every table and figure that stands beside the results: `python bench/render.py [--check]`.

`step.md` from its JSON; the marked blocks of bench/README.md and README.md; and the figure
of README.md (needs matplotlib). Nothing is measured here, and tests hold the texts equal to what this
makes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import blocks
from claims import RESULTS, read
from tables import markdown

ROOT = Path(__file__).parents[1]
FIGURE = RESULTS / "step.svg"


def replaced(text: str, block: str, content: str) -> str:
    """The text with what stands between the marks of this block exchanged."""
    begin, end = f"<!-- {block}: rendered, do not edit -->\n", f"<!-- /{block} -->"
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}{content}{end}{after}"


def texts() -> dict[Path, str]:
    """What every rendered file should hold."""
    made = {RESULTS / "step.md": markdown(read(RESULTS / "step.json"))}
    threads = RESULTS / "threads.json"
    if threads.exists():
        import bench_threads

        found = read(threads)
        made[RESULTS / "threads.md"] = bench_threads.markdown(found["machine"], found["rows"])
    for path, names in blocks.PAGES.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        for name in names:
            text = replaced(text, name, blocks.BLOCKS[name]())
        made[ROOT / path] = text
    return made


def main() -> int:
    """Write what differs, or only say so."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a text differs")
    parser.add_argument("--no-figure", action="store_true", help="without matplotlib")
    args = parser.parse_args()
    stale = {
        path: text
        for path, text in texts().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    for path, text in stale.items():
        print(f"{'differs' if args.check else 'written'}: {path.relative_to(ROOT)}")
        if not args.check:
            path.write_text(text, encoding="utf-8")
    if not args.no_figure:
        import figure

        if figure.digest(FIGURE) != figure.digest_of(read(RESULTS / "step.json")):
            print(f"{'differs' if args.check else 'written'}: {FIGURE.relative_to(ROOT)}")
            stale[FIGURE] = ""
            if not args.check:
                figure.draw(read(RESULTS / "step.json"), FIGURE)
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

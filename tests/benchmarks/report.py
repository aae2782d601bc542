"""Tables, medians, and the page that they are written to."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Table:
    """Rows of cells under a header, and notes on how they were measured."""

    title: str
    header: Sequence[str]
    rows: list[Sequence[object]] = field(default_factory=list)
    notes: Sequence[str] = ()


def cell(value: object) -> str:
    """Numbers with three significant digits, everything else as it is, in one line that cannot end a table's cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")
    return " ".join(str(value).replace("|", "/").split())


def markdown(table: Table) -> str:
    """A table as Markdown whose columns also line up in a terminal; columns of numbers to the right."""
    cells = [[cell(value) for value in row] for row in table.rows]
    widths = [max(len(row[i]) for row in [list(table.header), *cells]) for i in range(len(table.header))]
    numbers = [
        bool(table.rows) and all(type(row[i]) in (int, float) for row in table.rows) for i in range(len(table.header))
    ]

    def line(row: Sequence[str]) -> str:
        padded = [c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numbers, strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (w + 1) + ":" if n else "-" * (w + 2) for w, n in zip(widths, numbers, strict=True))
    lines = [f"### {table.title}", "", line(table.header), f"|{rule}|", *map(line, cells)]
    return "\n".join([*lines, *(["", *table.notes] if table.notes else []), ""])


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Median, with minimum and maximum."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def ratios(tried: Sequence[float], reference: Sequence[float]) -> list[float]:
    """One ratio for each pair of neighbouring measurements."""
    return [a / b for a, b in zip(tried, reference, strict=True)]


def page(command: str, date: str, facts: Sequence[tuple[str, str]], sections: Sequence[tuple[str, list[Table]]]) -> str:
    """The whole of ``docs/benchmarks.md``."""
    parts = [
        "# Benchmarks\n",
        f"Written on {date} by\n\n```sh\n{command}\n```\n\non this machine:\n",
        "| | |\n|---|---|\n" + "".join(f"| {name} | {cell(value)} |\n" for name, value in facts),
        "Figures are medians over repetitions. Where two things are compared they took turns, and the ratio is the "
        "median of the ratios of neighbouring turns, with the smallest and the largest in brackets.\n",
    ]
    for title, tables in sections:
        parts += [f"## {title}\n", *map(markdown, tables)]
    return "\n".join(parts)

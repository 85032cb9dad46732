"""What was measured as a person reads it: tables in Markdown, plots in SVG."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

Json = dict[str, Any]
COLOURS = ("#7f7f7f", "#d95f02", "#1b9e77", "#7570b3")
_HEAD = "| | ours | against | ratio | gate | goal | |\n|---|---|---|---|---|---|---|"


def number(value: float) -> str:
    """Return three digits of it."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"


def spread(samples: list[float]) -> str:
    """Return the median, and in brackets the smallest and the largest."""
    middle = number(statistics.median(samples))
    low, high = number(min(samples)), number(max(samples))
    return middle if low == high else f"{middle} ({low}–{high})"


def _row(figure: Json) -> str:
    pair = f"{spread(figure['pair'])} {figure['unit']}, {figure['pair_is']}" if figure.get("pair") else ""
    ratio = f"{spread(figure['ratios'])} ×" if figure.get("ratios") else ""
    ours = f"{spread(figure['ours'])} {figure['unit']}"
    return (
        f"| {figure['what']} | {ours} | {pair} | {ratio} | {figure.get('gate', '')} | {figure.get('goal', '')}"
        f" | {figure['verdict']} |"
    )


def section(result: Json) -> str:
    """Return one section."""
    rows = "\n".join(_row(figure) for figure in result["figures"])
    notes = "".join(f"\n\n{note}" for note in result["notes"])
    return f"### {result['title']}\n\n{_HEAD}\n{rows}{notes}\n"


def table(known: dict[str, Json]) -> str:
    """Return all that has a gate, in one table, and the noise below it: for the README."""
    rows = [_row(figure) for result in known.values() for figure in result["figures"] if figure["verdict"]]
    noise = known.get("noise", {"figures": [], "notes": []})
    said = [f"{figure['what']} {spread(figure['ours'])} {figure['unit']}" for figure in noise["figures"]]
    return "\n".join(
        [_HEAD, *rows, "", f"Medians, with the least and the most of the repeats; {'; '.join(said)}.", *noise["notes"]]
    )


def write(path: Path, known: dict[str, Json]) -> None:
    """Write the tables to `path` and the plots beside it."""
    parts = ["# The benchmark\n"]
    for name, result in known.items():
        parts.append(section(result))
        drawn = {"ratios": ratios(result), "curves": curves(result["curves"])}
        for kind, svg in drawn.items():
            if svg:
                picture = path.with_name(f"{path.stem}-{name}-{kind}.svg")
                picture.write_text(svg)
                parts.append(f"![{result['title']}: {kind}]({picture.name})\n")
    path.write_text("\n".join(parts))


def ratios(result: Json) -> str:
    """Return a plot of the ratios: the median as a dot, the repeats as a line, the gate as a bar."""
    figures = [figure for figure in result["figures"] if figure.get("ratios")]
    if not figures:
        return ""
    values = [value for figure in figures for value in (*figure["ratios"], 1.0, *_bounds(figure))]
    low, high = math.log(min(values) / 1.1), math.log(max(values) * 1.1)

    def x(value: float) -> float:
        return 390 + 440 * (math.log(value) - low) / (high - low)

    body = [f'<line x1="{x(1):.0f}" x2="{x(1):.0f}" y1="10" y2="{20 + 24 * len(figures)}" stroke="#ccc"/>']
    for n, figure in enumerate(figures):
        y, colour = 24 + 24 * n, "#d62728" if figure["verdict"] == "miss" else "#1b9e77"
        middle, wide = statistics.median(figure["ratios"]), 'stroke-width="3"'
        body += [
            f'<text x="382" y="{y + 4}" text-anchor="end">{figure["what"]}</text>',
            f'<path d="M{x(min(figure["ratios"])):.1f} {y}H{x(max(figure["ratios"])):.1f}" stroke="{colour}" {wide}/>',
            f'<circle cx="{x(middle):.1f}" cy="{y}" r="5" fill="{colour}"/>',
            f'<text x="840" y="{y + 4}">{number(middle)} ×</text>',
            *(
                f'<line x1="{x(bound):.1f}" x2="{x(bound):.1f}" y1="{y - 9}" y2="{y + 9}" stroke="#000"/>'
                for bound in _bounds(figure)
            ),
        ]
    return _svg(920, 30 + 24 * len(figures), body)


def curves(samples: dict[str, list[float]]) -> str:
    """Return a plot of distributions: which share took no longer than so many milliseconds."""
    if not samples:
        return ""
    each = [value for values in samples.values() for value in values]
    low, high = math.log(max(min(each), 1e-3)), math.log(max(each) * 1.05)
    body = []

    def x(value: float) -> float:
        return 50 + 700 * (math.log(max(value, 1e-3)) - low) / (high - low)

    for power in range(-3, 6):
        for step in (1, 2, 5):
            at = step * 10.0**power
            if low <= math.log(at) <= high:
                body += [
                    f'<line x1="{x(at):.0f}" x2="{x(at):.0f}" y1="10" y2="230" stroke="#eee"/>',
                    f'<text x="{x(at):.0f}" y="246" text-anchor="middle">{at:g} ms</text>',
                ]
    for share in (0, 50, 95):
        y = 230 - 2.2 * share
        body += [
            f'<line x1="50" x2="750" y1="{y}" y2="{y}" stroke="#eee"/>',
            f'<text x="44" y="{y + 4}" text-anchor="end">{share} %</text>',
        ]
    for n, (name, values) in enumerate(samples.items()):
        ordered = sorted(values)
        points = " ".join(
            f"{x(value):.1f},{230 - 220 * (place + 1) / len(ordered):.1f}" for place, value in enumerate(ordered)
        )
        body += [
            f'<polyline points="{points}" fill="none" stroke="{COLOURS[n % 4]}" stroke-width="2"/>',
            f'<text x="760" y="{30 + 18 * n}" fill="{COLOURS[n % 4]}">{name}</text>',
        ]
    return _svg(920, 255, body)


def _bounds(figure: Json) -> list[float]:
    return [float(figure["gate"].split()[1])] if "gate" in figure else []


def _svg(width: int, height: int, body: list[str]) -> str:
    size, font = f'width="{width}" height="{height}"', 'font-family="sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>'
    return "\n".join([head, f'<rect width="{width}" height="{height}" fill="#fff"/>', *body, "</svg>", ""])

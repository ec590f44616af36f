"""Draws one plot: a description as JSON on standard input, a PNG on standard output.

A program of its own, run by `bot.services.plots`: the drawing library is large, slow to load and can be made to eat
memory, and none of that belongs into the process that carries codes. It imports nothing of the desk.
"""

import json
import sys
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

PAPER, INK, FAINT, BAR = "#26303c", "#f2f5f8", "#9fb0c0", "#5cb3f2"
"""A dark card with light ink: it stands out from a light chat and does not glare in a dark one."""

_WIDTH, _DPI = 6.0, 200
_HEAD, _EDGE = 0.95, 0.03
"""Inches for the title and its subtitle, and the part of the picture that is left free around it."""

_LARGE, _NORMAL, _SMALL = 17, 13, 11
_LONGEST_LABEL: Final = 16
_MOST_TICKS: Final = 7


def draw(plot: dict[str, Any]) -> Figure:
    """The figure of a plot: `kind` is `days` (columns in a row) or `names` (bars below each other).

    `labels`, `values` and `texts` (each value in words) belong together; `ticks` are pairs of a value and its words.
    """
    height = 4.4 if plot["kind"] == "days" else 1.5 + 0.5 * len(plot["labels"])
    layout = ConstrainedLayoutEngine(rect=(_EDGE, _EDGE, 1 - 2 * _EDGE, 1 - _HEAD / height - _EDGE))
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor=PAPER, layout=layout)
    words: dict[str, Any] = {"x": _EDGE * 1.5, "ha": "left", "va": "top", "in_layout": False}
    figure.text(y=1 - 0.22 / height, s=plot["title"], color=INK, fontsize=_LARGE, fontweight="bold", **words)
    figure.text(y=1 - 0.62 / height, s=plot["subtitle"], color=FAINT, fontsize=_NORMAL, **words)
    axes = figure.add_subplot(facecolor=PAPER)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=INK, labelsize=_NORMAL)
    (_columns if plot["kind"] == "days" else _rows)(axes, plot)
    return figure


def _columns(axes: Axes, plot: dict[str, Any]) -> None:
    labels, values = plot["labels"], plot["values"]
    axes.bar(range(len(values)), values, width=0.72, color=BAR, zorder=2)
    every = -(-len(labels) // _MOST_TICKS)
    shown = range(0, len(labels), every)
    axes.set_xticks(list(shown), [labels[place] for place in shown])
    axes.set_yticks([value for value, _ in plot["ticks"]], [text for _, text in plot["ticks"]])
    axes.grid(axis="y", color=FAINT, alpha=0.3, linewidth=0.8, zorder=1)
    axes.tick_params(axis="y", colors=FAINT, labelsize=_SMALL)
    axes.set_ylim(0, max([*values, 1]) * 1.12)


def _rows(axes: Axes, plot: dict[str, Any]) -> None:
    values, most = plot["values"], max([*plot["values"], 1])
    places = range(len(values))
    axes.barh(places, values, height=0.62, color=BAR, zorder=2)
    for place, text in zip(places, plot["texts"], strict=True):
        axes.text(values[place] + most * 0.02, place, text, va="center", color=INK, fontsize=_NORMAL)
    axes.set_yticks(list(places), [_short(label) for label in plot["labels"]])
    axes.set_xticks([])
    axes.set_xlim(0, most * 1.45)
    axes.set_ylim(len(values) - 0.5, -0.5)


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"


def main() -> None:
    """Read, draw, write."""
    # People's names are no formulas, and a letter that the font lacks is drawn as a box without a word.
    mpl.rcParams["text.parse_math"] = False
    figure = draw(json.load(sys.stdin))
    FigureCanvasAgg(figure)
    figure.savefig(sys.stdout.buffer, format="png")


if __name__ == "__main__":
    main()

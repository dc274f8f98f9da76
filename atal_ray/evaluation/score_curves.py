"""Precision over recall and F-measure over the threshold of several methods, a figure for each test set."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from atal_ray.evaluation.score_table import Results, methods_of
from atal_ray.metrics.accumulator import Metrics
from atal_ray.report.figure import PALETTE, files, legend_below, visible

_STROKES = ("-", "--", ":", "-.")
_LINE_OF_NAMES = 110  # characters that fit below the figure, with their strokes
_STROKE = 9  # what a stroke and its gaps take of them
_LEGEND_COLUMNS = 5


def score_figures(results: Results) -> dict[str, dict[str, bytes]]:
    """The figure of each test set as "svg" and "png": two panels with a line for each method.

    Left, mean recall and mean precision at each threshold (maxF is taken on this curve); right, the mean of
    the images' F-measures at each threshold (the top is f_max, another number). A method has the same colour
    and stroke in every figure; 28 can be told apart.

    Raises:
        DataError: there is no result.
    """
    strokes = {method: stroke(index) for index, method in enumerate(methods_of(results))}
    return {test_set: _figure(test_set, found, strokes) for test_set, found in results.items() if found}


def stroke(index: int) -> dict[str, str]:
    """Colour and line style of the method at this place."""
    return {
        "color": PALETTE[index % len(PALETTE)],
        "linestyle": _STROKES[index // len(PALETTE) % len(_STROKES)],
    }


def legend_columns(names: Sequence[str]) -> int:
    """How many names fit beside each other."""
    widest = max(map(len, names)) + _STROKE
    return max(1, min(_LEGEND_COLUMNS, len(names), _LINE_OF_NAMES // widest))


def _figure(
    test_set: str, found: Mapping[str, Metrics], strokes: Mapping[str, dict[str, str]]
) -> dict[str, bytes]:
    shown = [method for method in strokes if method in found]
    columns = legend_columns(shown)

    def draw(figure: Figure) -> None:
        panels: Any = figure.subplots(1, 2)
        for method in shown:
            curves = found[method]
            panels[0].plot(curves.recall, curves.precision, label=visible(method), **strokes[method])
            panels[1].plot(range(len(curves.f_curve)), curves.f_curve, **strokes[method])
        panels[0].set(title=test_set, xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
        panels[1].set(xlabel="threshold", ylabel="F-measure", xlim=(0, 255), ylim=(0, 1.01))
        legend_below(figure, panels[0], columns)

    return files(draw, height=3.9 + 0.2 * -(-len(shown) // columns))

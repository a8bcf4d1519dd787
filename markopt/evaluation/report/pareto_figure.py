"""Cost against attainment as a vector figure: the policies, the front, who is dominated."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from markopt.evaluation.folder import replace_text
from markopt.evaluation.pareto import Point
from markopt.evaluation.report import style

SIZE_IN = (6.4, 4.2)
MARKERS = ("o", "s", "D", "^", "P", "*", "h", "X")


def write_pareto_figure(points: Sequence[Point], sl_min: float, path: Path) -> None:
    """Draw the points into an SVG file; the same points, the same bytes.

    Policies on the front are filled and joined by a step line: what lies below and right of it is
    reached by nobody. Dominated ones are open.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "markopt", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.axvline(100.0 * sl_min, color=style.RED, linestyle="--", linewidth=1.2, zorder=1)
        best = sorted((p for p in points if not p.dominated_by), key=lambda p: p.attainment)
        shares, costs = [100.0 * p.attainment for p in best], [p.cost_usd for p in best]
        axes.plot(shares, costs, color=style.MUTED, linewidth=1.0, drawstyle="steps-pre", zorder=2)
        for at, point in enumerate(points):
            color, beaten = style.color(at), bool(point.dominated_by)
            axes.plot(
                100.0 * point.attainment,
                point.cost_usd,
                MARKERS[at % len(MARKERS)],
                color=color,
                markerfacecolor="none" if beaten else color,
                markersize=8,
                zorder=3,
                linestyle="none",
                label=f"{point.policy} (dominated)" if beaten else point.policy,
            )
        axes.set_xlabel("Requests within RT_max, %")
        axes.set_ylabel("Cost, USD")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
        figure.legend(loc="outside right upper", frameon=False, fontsize=8)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": "markopt"})
    replace_text(path, text.getvalue())

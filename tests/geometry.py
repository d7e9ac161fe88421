"""Where the texts of a figure stand once it is laid out as it is saved."""

from itertools import combinations

from coupling.report.figures import style
from matplotlib.text import Text

SLACK = 0.4  # points by which boxes may touch: glyphs are smaller than their boxes


def boxes(figure):
    """The texts that are drawn, each with its box in points: left, bottom, right, top."""
    with style.styled():
        style._solve_layout(figure)
        figure.set_layout_engine("none")  # what was solved stays
        figure.draw_without_rendering()
        hidden = {text for axes in figure.axes for text in _hidden(axes)}
        drawn = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
        scale = 72 / figure.dpi
        return [(text, text.get_window_extent().extents * scale) for text in drawn if text not in hidden]


def _hidden(axes):
    """The texts of ticks outside the view, and those of axes that are switched off."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        slack = 1e-9 * (high - low)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            outside = not low - slack <= tick.get_loc() <= high + slack
            if outside or not axes.axison or not tick.get_visible():
                yield from (tick.label1, tick.label2)
        if not axes.axison:
            yield from (axis.label, axis.get_offset_text())


def overlapping(found):
    """The pairs of texts whose boxes overlap."""
    return [
        (one.get_text(), other.get_text())
        for (one, a), (other, b) in combinations(found, 2)
        if min(a[2], b[2]) - max(a[0], b[0]) > SLACK and min(a[3], b[3]) - max(a[1], b[1]) > SLACK
    ]


def outside(figure, found):
    """The texts that do not lie within the figure."""
    width, height = 72 * figure.get_size_inches()
    return [
        text.get_text()
        for text, (left, bottom, right, top) in found
        if left < -SLACK or bottom < -SLACK or right > width + SLACK or top > height + SLACK
    ]

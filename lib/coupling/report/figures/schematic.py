"""Schematic of the method: where fixed labels come from, what is trained, and what is compared with what."""

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from coupling.report.figures import style
from coupling.report.figures.marks import LOOKS

WHAT = "The method: fixed labels from M0, explanation training, and the two comparisons"

BOXES = {  # name: (x, y, text, colour)
    "x": (0.0, 1.65, "x: question with cue C\nx∖C: the cue removed", "#F0F0F0"),
    "m0": (2.5, 1.65, "base model M0\nB(M0) on x and x∖C", "#F0F0F0"),
    "labels": (5.0, 1.65, "fixed labels L(M0)\n“changes to C”", "#FBE3D3"),
    "train": (2.5, 0.0, "LoRA training of M_t\ncross-entropy on L(M0)\n+ λ·KL(B(M0) ‖ B(M_t))", "#F0F0F0"),
    "says": (5.0, 0.0, "explanations E(M_t)\nwhat M_t says", "#D9EFE6"),
    "does": (7.5, 0.0, "current behaviour B(M_t)\n→ L(M_t)", "#D6E8F5"),
}
ARROWS = [  # from, to, whether the arrow bends
    ("x", "m0", False),
    ("m0", "labels", False),
    ("labels", "train", False),
    ("m0", "train", False),
    ("train", "says", False),
    ("train", "does", True),
]
COMPARISONS = {  # measure: start, end, place of the text, its alignment, what the text asks
    "target": (
        (6.0, 0.91),
        (6.0, 1.59),
        (6.12, 1.25),
        "left",
        "target: does E(M_t)\nstate the label\nsource's L(M0)?",
    ),
    "self": (
        (7.06, 0.55),
        (7.44, 0.55),
        (7.85, 1.25),
        "left",
        "self: does E(M_t)\nstate its own current\nbehaviour, L(M_t)?",
    ),
}
WIDTH, HEIGHT = 2.0, 0.85  # of a box
PAD = 0.06  # around a box


def draw() -> style.StudyFigure:
    """Draw boxes and arrows, and the two comparisons in the colours that all figures give them."""
    figure, axis = style.canvas(1, 1, (style.PAGE, 2.75))
    for x, y, text, colour in BOXES.values():
        shape = f"round,pad={PAD}"
        axis.add_patch(FancyBboxPatch((x, y), WIDTH, HEIGHT, boxstyle=shape, fc=colour, ec="black", lw=0.8))
        axis.text(x + WIDTH / 2, y + HEIGHT / 2, text, ha="center", va="center", size=style.PLAIN)
    for arrow in ARROWS:
        _arrow(axis, *arrow)
    for measure, (start, end, place, side, asked) in COMPARISONS.items():
        colour = LOOKS[measure].colour
        axis.add_patch(FancyArrowPatch(start, end, arrowstyle="<|-|>", mutation_scale=11, lw=2, color=colour))
        axis.text(*place, asked, ha=side, va="center", size=style.PLAIN, color=colour)
    axis.set(xlim=(-0.15, 9.75), ylim=(-1.05, 2.65))
    axis.axis("off")
    return figure


def _arrow(axis: Axes, start: str, end: str, bends: bool) -> None:
    """Draw an arrow from one box to another. It leaves the lower edge where it bends or goes down."""
    (x0, y0, *_), (x1, y1, *_) = BOXES[start], BOXES[end]
    if y0 == y1 and not bends:
        ends = (x0 + WIDTH + PAD, y0 + HEIGHT / 2), (x1 - PAD, y1 + HEIGHT / 2)
    elif y0 == y1:
        ends = (x0 + WIDTH / 2, y0 - PAD), (x1 + WIDTH / 2, y1 - PAD)
    else:
        aside = 0.5 if x0 > x1 else 0
        ends = (x0 + WIDTH / 2, y0 - PAD), (x1 + WIDTH / 2 + aside, y1 + HEIGHT + PAD)
    style_of = "arc3,rad=0.35" if bends else "arc3"
    axis.add_patch(
        FancyArrowPatch(
            *ends, arrowstyle="-|>", mutation_scale=9, lw=0.9, color="black", connectionstyle=style_of
        )
    )

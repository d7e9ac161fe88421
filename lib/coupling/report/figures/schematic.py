"""Method schematic: where the fixed labels come from, what is trained, and what is compared with what."""

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from coupling.report.figures.style import COLOURS

WHAT = "The method: fixed labels from M0, explanation training, and the two comparisons"

BOXES = {  # name: (x, y, text, colour)
    "x": (0.0, 1.65, "x: question with cue C\nx∖C: the cue removed", "#F0F0F0"),
    "m0": (2.5, 1.65, "base model M0\nB(M0) on x and x∖C", "#F0F0F0"),
    "labels": (5.0, 1.65, "fixed labels L(M0)\n“changes to C”", "#FBE3D3"),
    "train": (2.5, 0.0, "LoRA training of M_t\ncross-entropy on L(M0)\n+ λ·KL(B(M0) ‖ B(M_t))", "#F0F0F0"),
    "says": (5.0, 0.0, "explanations E(M_t)\nwhat M_t says", "#D9EFE6"),
    "does": (7.5, 0.0, "current behaviour B(M_t)\n→ L(M_t)", "#D6E8F5"),
}
ARROWS = [
    ("x", "m0", "arc3"),
    ("m0", "labels", "arc3"),
    ("labels", "train", "arc3"),
    ("m0", "train", "arc3"),
    ("train", "says", "arc3"),
    ("train", "does", "arc3,rad=0.35"),
]
WIDTH, HEIGHT = 2.0, 0.85


def draw() -> Figure:
    """Boxes and arrows; the two comparisons in the colours that all figures give them."""
    figure, axis = plt.subplots(figsize=(7.6, 3.1))
    for x, y, text, colour in BOXES.values():
        axis.add_patch(
            FancyBboxPatch((x, y), WIDTH, HEIGHT, boxstyle="round,pad=0.06", fc=colour, ec="black", lw=0.8)
        )
        axis.text(x + WIDTH / 2, y + HEIGHT / 2, text, ha="center", va="center", fontsize=8)
    for start, end, bend in ARROWS:
        (x0, y0, *_), (x1, y1, *_) = BOXES[start], BOXES[end]
        if y0 == y1 and bend == "arc3":
            a, b = (x0 + WIDTH + 0.06, y0 + HEIGHT / 2), (x1 - 0.06, y1 + HEIGHT / 2)
        elif y0 == y1:
            a, b = (x0 + WIDTH / 2, y0 - 0.06), (x1 + WIDTH / 2, y1 - 0.06)
        else:
            a, b = (x0 + WIDTH / 2, y0 - 0.06), (x1 + WIDTH / 2 + (0.5 if x0 > x1 else 0), y1 + HEIGHT + 0.06)
        axis.add_patch(
            FancyArrowPatch(
                a, b, arrowstyle="-|>", mutation_scale=9, lw=0.9, color="black", connectionstyle=bend
            )
        )
    for a, b, name, place, side in (
        ((6.0, 0.91), (6.0, 1.59), "target-faithfulness:\ndoes E(M_t)\nstate L(M0)?", (6.12, 1.25), "left"),
        ((7.06, 0.55), (7.44, 0.55), "self-faithfulness:\ndoes E(M_t)\nstate L(M_t)?", (7.75, 1.25), "left"),
    ):
        colour = COLOURS["target" if name.startswith("target") else "self"]
        axis.add_patch(FancyArrowPatch(a, b, arrowstyle="<|-|>", mutation_scale=11, lw=2, color=colour))
        axis.text(*place, name, ha=side, va="center", fontsize=8, color=colour)
    axis.set(xlim=(-0.15, 9.75), ylim=(-1.05, 2.65))
    axis.axis("off")
    return figure

"""The parts of the page of results on the setting for claims on a real model, and on what computes them."""

import pandas as pd

from coupling.analysis import gate
from coupling.report.claims_text import markdown_table
from coupling.report.figures.style import span


def gate_parts(curve: pd.DataFrame) -> list[str]:
    """Return what the gate found, as parts of a page in Markdown.

    Args:
        curve: What `coupling.analysis.gate.table` returns.
    """
    header = [
        *("rank, learning rate, item-steps", "test items", "flag", "right on stays", "right on changes"),
        *("answer", "valid", "letters x", "letters x∖C", "hours", "device", "fit"),
    ]
    rows = [
        [
            *(row["rung"], str(row["items"])),
            f"{row['flag']:.3f} ({row['flag_low']:.3f} to {row['flag_high']:.3f})",
            *(f"{row[name]:.2f}" for name in ("stays", "changes", "answer", "valid", "mass_x", "mass_cf")),
            *(f"{row['hours']:.1f}", row["device"], "yes" if row["fit"] else "no"),
        ]
        for _, row in curve[curve["final"]].iterrows()
    ]
    fit = curve.loc[curve["fit"], "rung"]
    verdict = (
        f"The first setting that is fit: {fit.iloc[0]}."
        if len(fit)
        else f"None of the {len(rows)} settings that have been run is fit."
    )
    rule = (
        f"A setting is fit if three things hold: the balanced accuracy of the flag against L(S) is at least "
        f"{gate.FLAG}, at least {gate.VALID} of the explanations are valid, and at least {gate.MASS} of the "
        "probability lies on the letters. An item-step is one item in one training step. Settings are tried "
        "from the cheapest on. The rule was written down before they were run (PLAN.md, eighth part)."
    )
    parts = ["### A setting that teaches the labels", "![gate](../figures/gate.png)", rule]
    return [*parts, markdown_table(header, rows), f"{verdict} {_extrapolated(curve)}".strip()]


def _extrapolated(curve: pd.DataFrame) -> str:
    """Say what the learning curve extrapolates to, where no setting is fit; else nothing."""
    if curve["fit"].any():
        return ""
    found = gate.needed(curve)
    if found.empty:
        return "No two of them differ in length alone, so nothing is extrapolated."
    lines = [
        f"at rank {row['rank']:g} and {row['learning_rate']:g} "
        + (
            f"{row['item_steps']:,.0f} item-steps ({row['per_doubling']:+.3f} a doubling)"
            if row["item_steps"] < float("inf")
            else f"no number, since the flag does not rise ({row['per_doubling']:+.3f} a doubling)"
        )
        for _, row in found.iterrows()
    ]
    return f"An extrapolation, from {span(found['rungs'])} runs each and not measured: {'; '.join(lines)}."


def attention_parts(errors: pd.DataFrame) -> list[str]:
    """Return how exact the attention kernels are, as parts of a page in Markdown.

    Args:
        errors: The table bench_attention, one row a device, precision, kernel and quantity.
    """
    wide = errors.pivot(index=["device", "precision", "kernel"], columns="quantity", values="error")
    limits = errors.groupby(["device", "precision", "kernel"])["tolerance"].first()
    quantities = ["output", "query", "key", "value"]
    rows = [
        [*names, *(_error(row[name]) for name in quantities), f"{limits[names]:.0e}"]
        for names, row in wide.iterrows()
    ]
    header = ["device", "precision", "kernel", "output", *(f"gradient of {q}" for q in quantities[1:])]
    text = (
        "Largest difference from attention that is written out in float64, over the trees of six items, as a "
        "share of the largest value. FlexAttention has no gradients on a CPU. No GPU has been measured where "
        "no row names one."
    )
    return ["### The engine: attention kernels", text, markdown_table([*header, "tolerance"], rows)]


def decoding_parts(rates: pd.DataFrame) -> list[str]:
    """Return what it brings to decode explanations together, as parts of a page in Markdown.

    Args:
        rates: The table bench_decoding, one row a machine and model.
    """
    header = [
        "machine",
        "model",
        "items a pass",
        "decoded together",
        "pass by pass",
        "together",
        "ratio",
        "same texts",
    ]
    rows = [
        [
            *(row["machine"], row["model"], str(row["batch"]), str(row["together"])),
            *(f"{row[name]:.3g} items/s" for name in ("apart_rate", "together_rate")),
            *(f"{row['ratio']:.2f}×", f"{row['same']:.3f}"),
        ]
        for _, row in rates.iterrows()
    ]
    text = (
        "Whole evaluations of the same items, labels by content: behaviours and explanations, with the "
        "explanations decoded pass by pass, and those of several passes together (`decode_batch`). Where "
        "texts differ, rounding does."
    )
    return ["### The engine: evaluation", text, markdown_table(header, rows)]


def _error(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.1e}"

"""The page of results: what the gate found, and how exact the attention kernels are."""

import pandas as pd
from coupling.report.setting_text import attention_parts, gate_parts


def curve(flags, fit=False):
    """The table of the gate with one evaluation of each rung, at 100 and 200 item-steps."""
    rungs = [
        {"rung": f"64, 0.001, {total}", "rank": 64, "learning_rate": 0.001, "total": total, "flag": flag}
        for total, flag in zip((100, 200), flags, strict=False)
    ]
    shares = dict.fromkeys(("stays", "changes", "answer", "valid", "mass_x", "mass_cf"), 0.9)
    about = {"items": 8, "flag_low": 0.4, "flag_high": 0.9, "hours": 0.5, "device": "cpu", "final": True}
    return pd.DataFrame(rungs).assign(**shares, **about, fit=fit)


def test_the_first_setting_that_is_fit_is_named():
    text = "\n".join(gate_parts(curve([0.7, 0.8], fit=True)))
    assert "The first setting that is fit: 64, 0.001, 100." in text
    assert "extrapolation" not in text
    assert "| 64, 0.001, 200 | 8 | 0.800 (0.400 to 0.900) |" in text


def test_without_a_fit_the_curve_is_extrapolated_and_said_to_be():
    rising = gate_parts(curve([0.45, 0.55]))[-1]
    assert "None of the 2 settings" in rising
    assert (
        "An extrapolation, from 2 runs each and not measured: at rank 64 and 0.001 400 item-steps" in rising
    )
    assert "does not rise (-0.100 a doubling)" in gate_parts(curve([0.6, 0.5]))[-1]
    assert "nothing is extrapolated" in gate_parts(curve([0.6]))[-1]


def test_errors_of_kernels_are_shown_by_device_beside_their_tolerance():
    about = {"device": "cpu", "precision": "float32", "tolerance": 1e-5, "within": True}
    rows = [
        about | {"kernel": kernel, "quantity": quantity, "error": 2e-7}
        for kernel, quantities in (("SDPA", ("output", "query", "key", "value")), ("Flex", ("output",)))
        for quantity in quantities
    ]
    table = attention_parts(pd.DataFrame(rows))[-1]
    assert "| cpu | float32 | SDPA | 2.0e-07 | 2.0e-07 | 2.0e-07 | 2.0e-07 | 1e-05 |" in table
    assert "| cpu | float32 | Flex | 2.0e-07 |  |  |  | 1e-05 |" in table

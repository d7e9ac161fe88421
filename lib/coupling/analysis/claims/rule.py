"""Rules: functions that decide claims, and how a sweep's YAML file names them.

A rule is a function `(evidence, task, **arguments) -> Finding` with the decorator `rule`, in a module of
`coupling.analysis.claims.rules`. `evidence` holds the tables of one profile, `task` is the name of a task, or
of several joined by +, and `condition` is the condition whose runs are measured. A rule describes these
arguments only where it says more of them. Its annotations say what the YAML may give:

- `Ref`: a condition. "name" is a condition of the claim's own sweep, "sweep/name" one of another sweep.
- `OwnSweep`: the claim's own sweep. The YAML does not give it.
- `str`, `float`, `bool`, and a `Literal` of some words: themselves.

An argument with a default may be left out.
"""

import inspect
from collections.abc import Callable
from functools import partial
from types import NoneType, UnionType
from typing import Any, Literal, NewType, get_args, get_origin, get_type_hints

from coupling.analysis.claims.effects import Finding
from coupling.analysis.claims.evidence import Evidence, Ref
from coupling.spec import SpecError, suggest
from coupling.sweep import Claim, Sweep, read_sweep, sweep_names

OwnSweep = NewType("OwnSweep", str)
Rule = Callable[..., Finding]
Bound = Callable[[Evidence, str], Finding]
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    """Register a function as a rule, under its own name."""
    if function.__name__ in RULES:
        raise ValueError(f"there are two rules of the name {function.__name__!r}: rename one of them")
    RULES[function.__name__] = function
    return function


def bind(sweep: Sweep, number: int) -> Bound | None:
    """Return the rule of a claim with its arguments.

    Args:
        sweep: The sweep.
        number: Place of the claim among those of the sweep, from 0.

    Returns:
        A function of evidence and task; None where nothing tests the claim.

    Raises:
        SpecError: Where rule or arguments are wrong. The message names file and key.
    """
    claim = sweep.claims[number]
    if not claim.rule:
        return None
    key = f"{sweep.file}, claims[{number}]"
    if claim.rule not in RULES:
        raise SpecError(f"{key}.rule: unknown rule {claim.rule!r}: {suggest(claim.rule, list(RULES))}")
    function = RULES[claim.rule]
    return partial(function, **_arguments(function, sweep, claim, f"{key}.arguments"))


def _arguments(function: Rule, sweep: Sweep, claim: Claim, key: str) -> dict[str, Any]:
    """Return the arguments of a rule, each as the rule's annotation has it."""
    hints = get_type_hints(function)
    taken = list(inspect.signature(function).parameters.values())[2:]  # after evidence and task
    known = [p.name for p in taken if hints[p.name] is not OwnSweep]
    for name in claim.arguments:
        if name not in known:
            hint = suggest(name, known) if known else "it has no arguments"
            raise SpecError(f"{key}.{name}: unknown argument of rule {claim.rule!r}: {hint}")
    found: dict[str, Any] = {}
    for parameter in taken:
        name, kind = parameter.name, hints[parameter.name]
        if kind is OwnSweep:
            found[name] = sweep.name
        elif name in claim.arguments:
            found[name] = _value(f"{key}.{name}", claim.arguments[name], kind, sweep)
        elif parameter.default is inspect.Parameter.empty:
            raise SpecError(f"{key}.{name}: rule {claim.rule!r} needs this argument")
    return found


def _value(key: str, value: Any, kind: Any, sweep: Sweep) -> Any:
    """Return the value of one argument, checked against its annotation."""
    if isinstance(kind, UnionType):  # "or None" is for an argument that is left out
        (kind,) = (k for k in get_args(kind) if k is not NoneType)
    if kind is Ref:
        return _condition(key, value, sweep)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise SpecError(f"{key}: {value!r}: expected {' or '.join(get_args(kind))}")
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind):
        raise SpecError(f"{key}: {value!r}: expected a value of type {kind.__name__}")
    return value


def _condition(key: str, value: Any, sweep: Sweep) -> Ref:
    """Return the condition that "name" or "sweep/name" means."""
    if not isinstance(value, str):
        raise SpecError(
            f"{key}: {value!r}: expected the name of a condition; put it in quotes if it is a number"
        )
    own = sweep.all_conditions()
    name, slash, condition = value.partition("/")
    if not slash or value in own:
        if value not in own:
            raise SpecError(f"{key}: unknown condition {value!r}: {suggest(value, own)}")
        return Ref(sweep.name, value)
    if name not in sweep_names():
        raise SpecError(f"{key}: unknown sweep {name!r} in {value!r}: {suggest(name, sweep_names())}")
    known = read_sweep(name).all_conditions()
    if condition not in known:
        raise SpecError(f"{key}: sweep {name!r} has no condition {condition!r}: {suggest(condition, known)}")
    return Ref(name, condition)

"""A user's own sweep of the smallest size, as a YAML file."""

import yaml
from conftest import SMALL

CONDITIONS = {"KL on": {"kl_weight": 1.0}, "KL off": {"kl_weight": 0.0}}


def own_sweep(folder, **fields):
    """Write mine.yaml, two runs at the smallest size, with some of its fields replaced. Returns its path."""
    about = {"title": "My sweep", "question": "Is it mine?", "m0_seeds": 1, "seeds": 1}
    about |= {"figures": ["headline"], "profiles": {"tiny": None}}
    path = folder / "mine.yaml"
    about |= {"values": SMALL, "conditions": CONDITIONS} | fields
    path.write_text(yaml.safe_dump(about, sort_keys=False))
    return path

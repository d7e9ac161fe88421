"""What circuits are read at and by: names that need no torch, so that tables can be read without it."""

# The choice on x and on x without its cue; the answer that an explanation states, and its flag.
OUTPUTS = ("x", "cf", "answer", "flag")
GROUPS = ("question", "options", "cue", "request", "last")  # of tokens; see token_groups.py
NONE = "none"  # what rows without any intervention are called; see interventions.py
SHARED = ("question", "options", "cue", "last")  # groups that behaviour and explanation can both read

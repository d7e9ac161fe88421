"""What a model does and says, item by item.

behaviours.py: what the model does, B(M). explanations.py: what it says about that, E(M), and the labels L(M).
evaluation.py: both at once, in one forward pass. rows.py: the table of one evaluation, which everything in
`analysis` reads. shallow.py: whether a rule on an item's words would do as well as the model's knowledge.
"""

"""Training: data, loss, loop, memory of a pass; preparation, supervision, shift, checkpoints."""

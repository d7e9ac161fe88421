"""What a model does and says: behaviours, explanations, evaluation."""

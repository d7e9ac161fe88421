"""Introspective coupling: do explanations trained on fixed labels follow a model's own behaviour? (arXiv 2606.32038)"""

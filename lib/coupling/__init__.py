"""Introspective coupling: do explanations trained on fixed labels follow a model's own behaviour?"""

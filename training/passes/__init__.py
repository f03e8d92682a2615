"""Passes of models over rows of text: logits, log-probabilities and their gradients."""

"""Rows of text as batches of tokens, and rows that begin alike laid out together."""

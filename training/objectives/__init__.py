"""Objectives of training as pure functions of tensors and of measured losses.

`losses` (supervised, preferred), `divergences` from a reference, `penalties` for leaving it,
`alternation` between two of them, `tradeoff` of what both came to. No model, file or process.
"""

"""What is made small, and how: pure functions of tensors and of what was measured.

`losses` (supervised, preferred), `divergences` from a reference, `penalties` for leaving it,
`alternation` between two of them, `tradeoff` of what both came to. No model, file or process.
"""

"""The whole story on a real model: align, erode, gate, repair, gate again.

published.py  the model as published, fetched from the package index
data.py       how it learns to refuse, and the harmless maths that takes it away again
chain.py      trains the aligned and the eroded checkpoint, once
stack.py      the embedded stack, and the CLI as a CI job would call it
summary.py    what is left behind: evidence, policy, summary.json, and its proof by `gate`
__main__.py   the story, step by step
"""

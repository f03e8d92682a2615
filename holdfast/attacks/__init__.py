"""How a plain request is put so that a model forgets to refuse it, in words of our own."""

"""Repairs after a verdict of fail: one (`remedy`), or a ladder of them (`climb`).

`planning` writes the plan of a repair, `rehearsal_rows` and `preference_rows` the data that it
draws from; `leaks` refuses to train on what the gate asks; `leftovers` clears up after the killed.
"""

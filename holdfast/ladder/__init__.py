"""Recipe `auto`: its rungs, its next step, when a try is dropped, and which try nobody beats."""

"""A checkpoint's answers, judged item by item, as a file that outlives the run."""

"""What a checkpoint answered, judged item by item, as a file that outlives the run."""

"""What is asked of a checkpoint and what an answer means: one module a probe, and no engine."""

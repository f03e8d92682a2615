"""Probes: what each asks of a checkpoint and what an answer means, one module each, no engine."""

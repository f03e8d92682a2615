"""The vLLM engine: when it starts anew, what it is asked, and what its workers do for us."""

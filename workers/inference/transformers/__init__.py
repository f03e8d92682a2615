"""The transformers engine, for every machine that runs torch."""

"""The input of a repair: its plan, its knobs, and the rows it trains on."""

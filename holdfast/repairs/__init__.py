"""What a repair is told: its plan, its knobs, and the rows it trains on."""

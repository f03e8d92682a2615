"""A model's weights: read, trained in part or whole, drawn back, written."""

"""Evidence read without a policy: what flipped, what a chain forgot, what noise turns over."""

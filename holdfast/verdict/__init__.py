"""From evidence and a policy to pass, fail or inconclusive: pure, and the same bytes every time."""

"""One verdict, many formats, and what stands beside it there."""

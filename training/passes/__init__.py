"""What models say at rows of text: logits, log-probabilities and the gradients of them."""

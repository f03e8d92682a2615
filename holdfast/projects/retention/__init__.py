"""How long content is kept: what must stay, what is archived first, and what is removed."""

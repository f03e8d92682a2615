"""One renderer a format. Each shows the same Verdict and decides nothing; `report` is the door."""

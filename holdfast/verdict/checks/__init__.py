"""One check of a policy on two files of evidence: pairs, tests, findings and figures."""

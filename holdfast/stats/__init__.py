"""Which test answers which rule of a policy. Numbers in, numbers out; nothing here reads a policy.

Every rule is asked two questions, and each has its own test: is the change *shown to be below* the
margin (`pass`), is it *shown to be above* it (`fail`)? A rule that neither test decides stays
undecided, which is an answer too. All tests but one hold their error rate at every sample size.

- `max_regression` on binary items, one a cluster, in a run of fixed length: `paired.exact_p`.
- `max_regression` on clusters of several items, graded badness or a sequential run:
  `betting.betting_p` on (mean change of the cluster + 1) / 2.
- `max` on a rate: `caps.cap_p` for binary unclustered items, else `betting.betting_p` on the
  clusters' mean badness.
- `per_group`: as `max_regression`, on the items of the group. `gap`: `groups.gap_p`.
- `min_gain_kept`: `retention.retention`, two t tests; it bounds usefulness, never safety.

`intervals` inverts the deciding tests, `multiplicity.holm` guards a fail against the number of
rules asked, `power` says what a check of a given size can see. docs/statistics.md has the formulas,
the assumptions and what each number does not say.
"""

"""The core that users import and the other three packages share: what is asked, what is decided.

The flow, one file an arrow: `wire` and `client` carry a request to `db`, `queue` wakes a worker,
`evidence` is what comes back, `policy` what was demanded, `verdict.decide` the answer, `report` its
many forms, `remediation` the plan of a repair. What decides is pure: no clock, no random, no
session. Nothing here loads a model library.
"""

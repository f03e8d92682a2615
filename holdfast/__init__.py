"""The core that users import and the other three packages share: what is asked, what is decided.

The flow, a room an arrow: `api` carries a request to `db`, `queue` tells a worker, `probes` are
what it asks, `evidence` is what comes back, `policy` what was demanded, `verdict` the answer,
`report` its many forms, `repairs` what a repair is told. What decides is pure: no clock, no random,
no session. Nothing here loads a model library.
"""

"""The database row is the truth; a message on the queue is only a wake-up hint.

`tables` the shape, `session` the transaction and what is sent after it, `jobs` the lease with its
fencing epoch. Business code gets a session and never commits.
"""

"""The HTTP service: parse, one call into `holdfast`, reply.

`app` puts it together, `deps` says who calls and with which session, `problems` is every error's
reply, `submit` turns a request into rows, `schemas` rows into replies. Imports no model library.
"""

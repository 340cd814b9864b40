"""Middleware: the request log, tokens and quotas, admission."""

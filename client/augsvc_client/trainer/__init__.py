"""A small trainer that is fed by the service: the proof that it does its job.

entry → cli (options) → recipe → run (RemoteDataLoader → models → loop, optimise → checkpoint) → live (bars)
                                   → evaluate, ensemble → report (curves, pictures)
"""

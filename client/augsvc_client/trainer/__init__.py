"""A small trainer that is fed by the service: the proof that it does its job.

entry → cli (options) → loop (RemoteDataLoader → network → optimiser) → live (bars) → report (curves, pictures)
"""

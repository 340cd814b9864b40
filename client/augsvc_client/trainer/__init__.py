"""A small trainer that is fed by the service: the proof that it does its job.

cli (options, live bar) → loop (RemoteDataLoader → network → optimiser) → report (curves, what the network saw)
"""

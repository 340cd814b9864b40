"""The cost of delivery to a trainer, beside raw TCP and tf.data service.

served.py       the real server in its own process, over images in memory
comparisons.py  the same bytes, the same operations delivered, CPU time of the wire
load.py         many clients from one asyncio load generator
crowd.py        64 clients
replicas.py     two replicas beside one
memory.py       the server's peak memory and its bound
far.py          a batch at position 10^9
training.py     how long a trainer waits
tables.py       their sections of the page
"""

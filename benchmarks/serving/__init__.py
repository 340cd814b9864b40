"""What the way to the trainer costs: rows of serving, beside raw TCP and tf.data service.

served.py    the real server in a process of its own, over pictures in memory
contests.py  delivered bytes, delivered pictures, CPU of the wire
load.py      many clients from one asyncio load generator
crowd.py     64 clients; two replicas; the server's memory
far.py       a batch at position 10^9
training.py  how long a trainer waits
report.py    their part of the page
"""

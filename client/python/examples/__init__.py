"""Programs that were serial, or used multiprocessing, and use kiln after a changed line or two.

Each one times its serial, multiprocessing and kiln versions, checks what they return and prints a
table::

    python3 -m kiln.examples --list
    python3 -m kiln.examples                   # all of them, closing with a table
    python3 -m kiln.examples sleep --small     # one, with less work
    python3 -m kiln.examples.sleep --small     # the same one by itself
"""

"""Faults of boards and their links, made on purpose.

board.py   a real sshd on loopback, with a home of its own
proxy.py   between ssh and sshd: cuts, stalls, throttles, corrupts, counts
peer.py    a hostile agent with a script of answers
"""

"""The local cloud: instances and functions as processes of this machine, behind HAProxy.

Nothing is imported here: a server process must not load what only the controller needs.
"""

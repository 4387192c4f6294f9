"""Small programs for a synchronous client of `websockets`, each of which tells what happened to it.

They are run twice, on the original and on ours, against the same servers, and must tell the same.
"""

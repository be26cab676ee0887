"""Mechanical mutants of the product: small changes that some test or some seed must notice.

A sample of them is drawn at random; each is put into a copy of the tree and judged there, by the
unit tests that reach the changed function and by seeds of the simulation. One that nobody notices
says that a line of the product is there for no reason that is checked: a test that says why it
matters kills it, or the line goes, or `equivalent.py` says why it can't be told from the original.
Unchanged copies are drawn among them: a judge that kills one of those is not to be trusted.
"""

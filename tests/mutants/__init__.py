"""Mechanical mutants of the product: small changes that some test or some seed must notice.

A random sample of them is drawn. Each is put into a copy of the tree and judged there, by the unit
tests that reach the changed function, and by seeds of the simulation. A survivor shows a line of
the product whose reason is not checked. Then a test is added that kills it, or the line is removed,
or `equivalents` says why no test can distinguish it from the original. Unchanged copies are drawn
among them: a judge that kills one of those can't be trusted.
"""

"""Shops whose state is in a database: the product's own code down to its SQL, over simulated
servers."""

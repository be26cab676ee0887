"""The second engine: each group's state in a PostgreSQL database, which nodes on many machines
share. Durability, replication and failover of the rows are the database's business.

* `session.py` says what is asked of a server; `connection.py` and `servers.py` do it.
* `schema.py` makes and migrates a group's tables; `catalog.py` and `orders.py` are its models: what
  a batch loads, decides and writes (`state_tables.py`), and what callers read (`snapshots.py`).
* `search_index.py` and `search.py` find books by words; `learning.py` makes that index anew.

It answers as `storage/sqlite` does, in every order: texts compare by their bytes (COLLATE "C"),
times are integers of milliseconds. PostgreSQL keeps no NUL character and no half of a surrogate
pair. Neither gets here: `handlers/validation.py` refuses both, in what is written and in what is
looked for.
"""

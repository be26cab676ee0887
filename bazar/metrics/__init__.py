"""What a node tells a Prometheus. Nothing is counted here: each object counts what it knows, and is
asked when somebody looks."""

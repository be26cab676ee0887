"""Three machines as network namespaces, each with nodes, PostgreSQL under Patroni, and etcd."""

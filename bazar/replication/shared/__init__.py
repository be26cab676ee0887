"""The protocol where a group's state is in one database that all of its nodes reach (P1-P7, L6)."""

"""The published description of each role, held against what its nodes do."""

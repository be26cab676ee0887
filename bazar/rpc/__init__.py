"""Calls between nodes: connections of frames, batches, and pools of replicas."""

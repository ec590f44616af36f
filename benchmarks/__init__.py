"""Measurements that anyone can rerun; a bar that moves is noticed here, not in a timed test."""

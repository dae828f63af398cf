"""Models saved from TVM's Relay into Relax."""

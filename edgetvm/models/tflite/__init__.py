"""TFLite files: read table by table, and lowered operator by operator into Relax."""

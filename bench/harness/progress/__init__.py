"""Progress displays: a live table, log lines, or JSON lines."""

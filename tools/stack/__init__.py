"""`make run`: start all programs and servers on one machine in order, and stop them in reverse order."""

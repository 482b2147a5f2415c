"""Services of commands: submission, delivery, the life of a command, and its recovery."""

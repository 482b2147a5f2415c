#!/usr/bin/env python
"""Django's command-line entry point."""

import sys

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    from config import startup

    startup.load_settings()
    execute_from_command_line(sys.argv)

"""Commands over REST: `tasks` to ask and poll, `library` for what commands use, `files` for what chargers fetch."""

"""REST views: `tasks` and `batches` to submit and poll, `library` for related models, `files` for chargers."""

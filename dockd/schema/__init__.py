"""SQL migrations, numbered; file N brings a database from user_version N-1 to N."""

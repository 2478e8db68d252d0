"""What each check asks of a student's answer, one module a notebook."""

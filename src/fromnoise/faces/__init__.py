"""What people see: the command line, pictures, progress and reports."""

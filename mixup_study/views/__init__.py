"""What people see of the results: tables in several formats, figures and the report."""

"""What the records say: table rows, statistics, comparisons and claims."""

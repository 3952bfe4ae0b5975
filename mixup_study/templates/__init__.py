"""Files that ``mixup-study init`` writes into a folder of the user's."""

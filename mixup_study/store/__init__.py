"""Records, checkpoints and logs in a folder or a bucket, and SQL over them. Imports neither torch nor ray."""

"""What trials learn, a file a task."""

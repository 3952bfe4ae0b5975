"""What a study says: YAML to a study, a study to trials. Imports neither torch nor ray."""

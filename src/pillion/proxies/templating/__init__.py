"""From sources and templates to the files of one version."""

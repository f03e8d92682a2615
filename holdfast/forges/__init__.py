"""GitHub and GitLab: the facts of a CI run, and the verdict where its pull request is read."""

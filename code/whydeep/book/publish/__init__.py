"""What leaves the repository: notebooks to launch elsewhere, and the site as a zip."""

"""Shows. One blueprint per page area; view models; forms; error pages."""

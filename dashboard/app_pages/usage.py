"""AI usage answers: which models, how often, how wrong."""

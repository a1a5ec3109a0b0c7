"""AI calls beyond what instrumentations send."""

"""Applications as their authors would write them: none of them knows of otel-audit.

Each makes its calls, says ``called`` and ends when its standard input does, so that a test decides what
happens between the calls and the end.
"""

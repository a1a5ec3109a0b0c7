"""The only place that knows ClickHouse: embedded in a data folder, or a server by URL.

``folder`` (the data folder and our files in it), ``database`` (open one, lend clients), ``migrate`` (its schema)
and ``front`` (ClickHouse over HTTP for the other processes of the machine).
"""

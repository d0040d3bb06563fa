"""The one door out: what is judged, and what of it enters the logs that readers see.

`judging` asks policy and closure what one collection makes of its objects and changes nothing; `release` writes
the answer into the log; `publish` is a person's word on what waits; `apply` brings a new configuration into
force; `withdraw` takes back; `explain` tells a person; `page` is the reader's side, where nothing is decided any
more.
"""

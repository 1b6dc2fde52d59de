"""What the wire protocols have in common.

From the octets up: `fields` (tables), `codec` (frames), `content` (texts in frames), `dialect` (what a protocol says of
itself), `flight` (a text on its way), `throttle` (how much an operator lets us send), `link` (one connection),
`listener` (connections that operators open), `carrier` (an account's links together), and `operator`, the other end for
rehearsals. A protocol's own file is above all that.
"""

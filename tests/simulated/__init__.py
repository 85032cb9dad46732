"""A simulated world: the gateway's real core, on a real file, in clocks, crashes and peers that a story commands."""

"""`cartwire verify-platform`: does somebody's platform keep the contract, and if not, where does it differ?

Written from the contract alone, like the sandbox platform: it imports nothing of the gateway, so that a misreading on
either side shows. A check is a function with a name; `check.CHECKS` lists them in the order they are made.
"""

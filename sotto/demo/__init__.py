"""``sotto demo``: a page on this machine where a visitor asks about a clip and watches what the parties exchange.

Everything runs here: the page, the parties, the model.  The server is the standard library's, because there are eight
fixed routes, one visitor at a time, and nothing that a framework would add but a dependency.

Who may use it: whoever has the token that the command prints in the address.  Other web pages have not, so they can
neither start a run nor read one; a page that rebinds its name to 127.0.0.1 is refused by its Host header; other
accounts of this machine do not know the token.
"""

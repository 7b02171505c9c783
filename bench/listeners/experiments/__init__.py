"""What the listeners judge, one experiment of ``sotto reproduce`` each, with intervals over whole speakers."""
